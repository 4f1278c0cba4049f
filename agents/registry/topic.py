"""A compacted topic of definitions: reading all of it, following it, writing to it.

It has one partition, so that its records have one order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.registry.registry import Registry

POLL_MS: Final = 500
FOLLOW_MS: Final = 200
LOAD_RECORDS: Final = 200
"""At once while all of the start is read: a definition takes 1 to 2 ms, and probes want answers meanwhile."""

AnyRegistry = TypeVar("AnyRegistry", bound=Registry[Any, Any])


async def everything_on(
    consumer: AIOKafkaConsumer, topic: str
) -> AsyncIterator[ConsumerRecord[bytes | None, bytes | None]]:
    """All records of a topic's one partition, up to the end as it is now."""
    partition, end = await _from_start(consumer, topic)
    while await consumer.position(partition) < end:
        polled = await consumer.getmany(timeout_ms=POLL_MS)
        for record in polled.get(partition, []):
            yield record


async def read_all(consumer: AIOKafkaConsumer, registry: AnyRegistry) -> AnyRegistry:
    """Have a registry take everything that is on its topic now."""
    async for record in everything_on(consumer, registry.topic):
        registry.take(record)
    return registry


async def keys_on(consumer: AIOKafkaConsumer, topic: str) -> set[bytes]:
    """Every key on the topic now, whatever its records hold."""
    return {record.key async for record in everything_on(consumer, topic) if record.key is not None}


async def follow(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    take: Callable[[Sequence[ConsumerRecord[bytes | None, bytes | None]]], None],
    loaded: Callable[[], None],
) -> None:
    """Read the topic from its start, and go on until cancelled.

    ``take`` gets records in their order. ``loaded`` is called once, when ``take`` had all of the start.
    """
    async with new_consumer() as consumer:
        partition, end = await _from_start(consumer, topic)
        is_loaded = False
        while True:
            if not is_loaded and await consumer.position(partition) >= end:
                is_loaded = True
                loaded()
            # Later what was written together is taken together.
            most = None if is_loaded else LOAD_RECORDS
            polled = await consumer.getmany(timeout_ms=FOLLOW_MS, max_records=most)
            if records := polled.get(partition):
                take(records)
                await asyncio.sleep(0)


async def publish(
    producer: AIOKafkaProducer, topic: str, records: Iterable[tuple[bytes, bytes | None]]
) -> None:
    """Write records, given as (key, value), in this order; returns when all replicas have them.

    Raises KafkaError where the broker refuses one.
    """
    sent = [await producer.send(topic, value, key, partition=0) for key, value in records]
    await producer.flush()
    for each in sent:
        await each


async def _from_start(consumer: AIOKafkaConsumer, topic: str) -> tuple[TopicPartition, int]:
    """Go to the beginning of the topic's one partition; the partition, and its end as it is now."""
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    return partition, (await consumer.end_offsets([partition]))[partition]
