"""Where partitions end, whatever transactions they hold."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition


async def ends_of(bootstrap: str, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """For whoever doesn't mind transactions.

    Kafka answers a commit before it can be seen, so the end of what is committed may lie before it.
    """
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(tps))
        return ends
