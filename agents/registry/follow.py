"""Following a compacted topic of our own: everything that is on it, then what comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


async def follow(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    take: Callable[[Sequence[Any]], None],
    loaded: Callable[[], None],
) -> None:
    """Read the topic's one partition from its start, and go on until cancelled.

    ``take`` gets records in their order. ``loaded`` is called once, when ``take`` had all of the start.
    """
    async with new_consumer() as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        is_loaded = False
        while True:
            if not is_loaded and await consumer.position(partition) >= end:
                is_loaded = True
                loaded()
            polled = await consumer.getmany(timeout_ms=200)
            if records := polled.get(partition):
                take(records)
