"""The end record of a list: the last of its transaction, in partition 0. Who sees it knows that the list is
whole, and so does a process that has to find out whether an earlier one committed it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import TargetUnavailable
from rules.time.instants import format_instant

LIST_HEADER: Final = "turnstile.list"
"""On each record: the id of its list."""
END_HEADER: Final = "turnstile.end"
"""On the end record alone; its value: the id of the list."""
END_PARTITION: Final = 0
POLL_MS: Final = 500
SILENCE_SECONDS: Final = 30.0
RECORDS_AT_ONCE: Final = 2_000


class End(msgspec.Struct, frozen=True):
    """The value of the end record. ``offsets``: of each partition the first and the last of the list."""

    type: str
    project: str
    push: str
    audience: str
    run_id: str
    list_id: str
    instant: str
    members: int
    rows: int
    bytes: int
    rows_by_id: Mapping[str, int]


def end_of(spooled: SpooledList) -> End:
    """The same for the same list."""
    push = spooled.push
    return End(
        type="push.end",
        project=push.project,
        push=push.name,
        audience=push.audience,
        run_id=spooled.run_id,
        list_id=spooled.list_id,
        instant=format_instant(spooled.instant_ms),
        members=spooled.members,
        rows=spooled.rows,
        bytes=spooled.bytes,
        rows_by_id=dict(spooled.by_id),
    )


encode_end = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(End).decode


async def committed_end(consumer: AIOKafkaConsumer, topic: str, list_id: str, from_ms: int) -> End | None:
    """The end record of a list, among those that were committed. ``from_ms``: none is older.

    Reads up to where the partition ended when this began. Raises TargetUnavailable where somebody's open
    transaction hides what lies behind it; KafkaError.
    """
    tp = TopicPartition(topic, END_PARTITION)
    consumer.assign([tp])
    begin = (await consumer.offsets_for_times({tp: max(0, from_ms)}))[tp]
    if begin is None:
        return None
    consumer.seek(tp, begin.offset)
    wanted = list_id.encode()
    end: int | None = None
    heard = time.monotonic()
    while end is None or await consumer.position(tp) < end:
        before = await consumer.position(tp)
        polled = await consumer.getmany(tp, timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
        for record in polled.get(tp, ()):
            if any(name == END_HEADER and value == wanted for name, value in record.headers):
                return _decode(record.value)
        end = consumer.highwater(tp) if end is None else end
        if await consumer.position(tp) != before:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise TargetUnavailable(
                f"whether the list is in {topic} can't be known: a transaction is open in its partition 0, "
                "or its broker doesn't answer"
            )
    return None
