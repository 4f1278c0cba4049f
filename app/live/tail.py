"""The transitions topic from a position on, for one audience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import for_code

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer
from app.live.positions import read

MOST_RECORDS = 500
"""Looked at within one turn of the event loop."""


class _Named(msgspec.Struct, frozen=True):
    """What a feed looks at of a transition."""

    event: str
    project: str
    audience: str


_decode = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Found:
    """A transition of the audience, and where the topic goes on after it."""

    event: str
    body: bytes
    position: dict[int, int]


class Tail:
    """Use ``tail``."""

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, project: str, audience: str, position: dict[int, int]
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._project = project
        self._audience = audience
        self.position = position
        """By partition, the offset of the next record."""

    @property
    def has_all(self) -> bool:
        """False: the topic has got partitions that are not followed."""
        return (self._consumer.partitions_for_topic(self._topic) or set()) <= self.position.keys()

    async def next(self, seconds: float) -> list[Found]:
        """What came, also within ``seconds``; empty where nothing did for the audience. Raises KafkaError."""
        got = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=MOST_RECORDS)
        found: list[Found] = []
        for partition, records in got.items():
            for record in records:
                self.position[partition.partition] = record.offset + 1
                named = self._named(record.value)
                if named is not None:
                    found.append(Found(named.event, record.value, dict(self.position)))
        return found

    def _named(self, value: bytes | None) -> _Named | None:
        try:
            named = _decode(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # not ours: whoever may write to the topic may write anything
        return named if (named.project, named.audience) == (self._project, self._audience) else None


@asynccontextmanager
async def tail(
    broker: Broker, topic: str, project: str, audience: str, last_event_id: str
) -> AsyncIterator[Tail]:
    """A feed from ``last_event_id`` on, from now on where it is empty.

    Raises KafkaError, and HttpProblem for a ``last_event_id`` that can't be gone on from.
    """
    partitions = await _partitions(broker, topic)
    consumer = new_consumer(broker, auto_offset_reset="none")
    await consumer.start()
    try:
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        position = {each.partition: offset for each, offset in ends.items()}
        if last_event_id:
            position = read(last_event_id, {each.partition: at for each, at in begins.items()}, position)
        consumer.assign(partitions)
        for each in partitions:
            consumer.seek(each, position[each.partition])
        yield Tail(consumer, topic, project, audience, position)
    finally:
        await consumer.stop()


async def _partitions(broker: Broker, topic: str) -> list[TopicPartition]:
    """All of a topic. Raises KafkaError where there is no such topic."""
    admin = new_admin(broker)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if found["error_code"]:
        raise for_code(found["error_code"])(topic)
    return [TopicPartition(topic, number) for number in range(len(found["partitions"]))]
