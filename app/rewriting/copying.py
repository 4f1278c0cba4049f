"""One partition of a topic, copied to its own end without some records; then its old records are removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import ConsumerRecord

Headers = Sequence[tuple[str, bytes | None]]
Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"
HeadersOf = Callable[[Record, Mapping[int, int]], Headers]
"""The headers of a record's copy; gets the new offsets of the records before, where it needs them."""
IsKept = Callable[[Record], bool]
AT_ONCE: Final = 2_000
"""Records read at a time."""


@dataclass(slots=True)
class Copied:
    """What was copied: the new offset of each record, by the old one. ``left_out``: how many weren't."""

    end: int
    """Of the old records."""
    offsets: dict[int, int] = field(default_factory=dict)
    left_out: int = 0


async def copy(
    consumer: AIOKafkaConsumer,
    producer: AIOKafkaProducer,
    tp: TopicPartition,
    is_kept: IsKept,
    headers_of: HeadersOf,
    needs_offsets: Callable[[Record], bool],
) -> Copied:
    """Copy the records that are there now, in their order. Raises KafkaError."""
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    copied = Copied((await consumer.end_offsets([tp]))[tp])
    while await consumer.position(tp) < copied.end:
        polled = await consumer.getmany(tp, timeout_ms=500, max_records=AT_ONCE)
        kept: list[Record] = []
        for record in polled.get(tp, ()):
            if record.offset >= copied.end:
                break
            if is_kept(record):
                kept.append(record)
            else:
                copied.left_out += 1
        await _send(producer, tp, kept, headers_of, needs_offsets, copied.offsets)
    return copied


async def _send(
    producer: AIOKafkaProducer,
    tp: TopicPartition,
    records: Sequence[Record],
    headers_of: HeadersOf,
    needs_offsets: Callable[[Record], bool],
    offsets: dict[int, int],
) -> None:
    """Send records in their order, in batches, and note their new offsets. Records may be without key and
    value, which only batches take."""
    at = 0
    while at < len(records):
        batch, begin = producer.create_batch(), at
        while at < len(records):
            each = records[at]
            if at > begin and needs_offsets(each):
                break
            headers = list(headers_of(each, offsets))
            if (
                batch.append(
                    timestamp=max(each.timestamp, 0), key=each.key, value=each.value, headers=headers
                )
                is None
            ):
                break
            at += 1
        first = await (await producer.send_batch(batch, tp.topic, partition=tp.partition))
        offsets.update((each.offset, first.offset + number) for number, each in enumerate(records[begin:at]))


async def remove(admin: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]) -> None:
    """Remove all records before these offsets. Raises KafkaError."""
    await admin.delete_records({tp: RecordsToDelete(before_offset=end) for tp, end in ends.items() if end})
