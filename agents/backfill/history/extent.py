"""What a computation reads: of which logs, from where on.

It is noted beside the scratch store, so that the computation goes on with the same after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.backfill.history.imports import Run


@dataclass(frozen=True, slots=True)
class Begin:
    """Where the log of a topic partition begins now."""

    offset: int
    """Of its first record. 0: nothing was ever taken from the log."""
    timestamp_ms: int | None
    """Of its first record; None: it holds no record."""


class Start(msgspec.Struct, frozen=True):
    """Where one source partition is read from."""

    topic: str
    partition: int
    offset: int


class Extent(msgspec.Struct, frozen=True):
    """What a computation of one partition of the table reads: the runs of its history topics, merged, then
    its source partitions, merged, up to ends that are said as it goes (rules, section 8a.1)."""

    from_ms: int | None
    """Records of history topics with an earlier timestamp are left out; None: none is."""
    runs: tuple[Run, ...]
    starts: tuple[Start, ...]
    """Of the source topics and of the repartition topic."""


encode_extent = msgspec.json.Encoder().encode
decode_extent = msgspec.json.Decoder(Extent).decode


async def extent_of(
    consumer: AIOKafkaConsumer, runs: Sequence[Run], sources: Sequence[TopicPartition], from_ms: int | None
) -> Extent:
    """What there is to read now: from the first record that is not before ``from_ms``; None: everything."""
    starts = await starts_of(consumer, sources, from_ms)
    return Extent(
        from_ms, tuple(runs), tuple(Start(tp.topic, tp.partition, each) for tp, each in starts.items())
    )


async def begins_of(
    consumer: AIOKafkaConsumer, sources: Sequence[TopicPartition]
) -> dict[TopicPartition, Begin]:
    """Where the logs begin now."""
    if not sources:
        return {}
    offsets: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(sources))
    first = await consumer.offsets_for_times(dict.fromkeys(sources, 0))
    found = {tp: None if each is None else each.timestamp for tp, each in first.items()}
    return {tp: Begin(offset, found[tp]) for tp, offset in offsets.items()}


def begin_ms_of(extent: Extent, begins: Mapping[TopicPartition, Begin], now_ms: int) -> int:
    """From when on an extent has all records; 0: from the first record that ever was.

    That is later than ``Extent.from_ms`` where a log has lost records that come after it. Logs from which
    nothing was taken don't matter, however young they are. Imported runs lie before all of the sources.
    """
    if all(each.offset == 0 for each in extent.starts):
        return 0
    lost = [
        now_ms if each.timestamp_ms is None else each.timestamp_ms
        for each in begins.values()
        if each.offset > 0
    ]
    imported = [each.pieces[0].first_ms for each in extent.runs if each.pieces]
    known = [each for each in imported if each is not None]
    there_ms = min([max(lost), *known]) if lost else 0
    return max(1, there_ms, extent.from_ms or 0)


async def starts_of(
    consumer: AIOKafkaConsumer, sources: Sequence[TopicPartition], from_ms: int | None
) -> dict[TopicPartition, int]:
    """Offsets of the first records that are not before ``from_ms``; None: of the first records there are."""
    if not sources:
        return {}
    if from_ms is None:
        return dict(await consumer.beginning_offsets(list(sources)))
    found = await consumer.offsets_for_times(dict.fromkeys(sources, max(0, from_ms)))
    ends = await consumer.end_offsets(list(sources))
    return {tp: ends[tp] if found[tp] is None else found[tp].offset for tp in sources}
