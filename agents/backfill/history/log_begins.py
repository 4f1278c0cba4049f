"""Where the source topics begin, with the history topics before them.

``agents.backfill.history.completeness`` judges by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.backfill.history.completeness import LogBegin


async def log_begins(
    consumer: AIOKafkaConsumer,
    sources: Sequence[str],
    history: Sequence[str],
    partitions: Mapping[str, int],
    table_partitions: int,
) -> list[LogBegin]:
    """One for each partition of each source topic that exists. ``partitions``: of topics that exist, by name.

    Partition p of a history topic is about the users of partition p of the table, and they come from the
    source partitions whose numbers are p modulo ``table_partitions``. Raises KafkaError.
    """
    logs = _partitions_of(sources, partitions)
    before = _partitions_of(history, partitions)
    if not logs:
        return []
    offsets = await consumer.beginning_offsets(logs)
    cut = [tp for tp in logs if offsets[tp] > 0]
    first_ms = await _first_ms(consumer, [*cut, *(before if cut else ())])
    earliest: dict[int, int] = {}
    for tp in before:
        if (found := first_ms.get(tp)) is not None:
            earliest[tp.partition] = min(found, earliest.get(tp.partition, found))
    begins = []
    for tp in logs:
        known = [first_ms.get(tp), earliest.get(tp.partition % max(1, table_partitions))]
        first = min((each for each in known if each is not None), default=None)
        begins.append(LogBegin(f"{tp.topic}/{tp.partition}", first, whole=offsets[tp] == 0))
    return begins


def _partitions_of(topics: Sequence[str], partitions: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(name, each) for name in topics for each in range(partitions.get(name, 0))]


async def _first_ms(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Timestamp of the first record of each partition that has one; the broker knows it without a fetch."""
    if not partitions:
        return {}
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, 0))
    return {tp: each.timestamp for tp, each in found.items() if each is not None}
