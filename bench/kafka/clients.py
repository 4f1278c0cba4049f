"""Topics and records of a benchmark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.batches import Batches
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.audiences import publish_audiences
from agents.topics import TopicPlan, create_topics, ensure_topics
from bench.workload.events import LogRecord
from bench.workload.rules import published
from rules.model.language import Audience

PRODUCE_BATCH_BYTES = 900_000
BATCH_RECORDS = 2_000


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = new_admin(Broker(bootstrap))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def producer_client(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = new_producer(Broker(bootstrap), idempotence=True, max_batch_size=PRODUCE_BATCH_BYTES)
    async with producer:
        yield producer


async def make_topic(
    bootstrap: str, name: str, partitions: int, configs: Mapping[str, str] | None = None
) -> None:
    async with admin_client(bootstrap) as admin:
        await create_topics(admin, {name: (partitions, configs or {"retention.ms": "-1"})}, 1)


async def prepare(bootstrap: str, plan: TopicPlan, partitions: int, audiences: Iterable[Audience]) -> None:
    """All topics of a worker, with the definitions published, so that its start is only a start."""
    async with admin_client(bootstrap) as admin:
        await ensure_topics(admin, plan, partitions, 1, create_sources=True)
    async with producer_client(bootstrap) as producer:
        await publish_audiences(producer, plan.audiences, published(audiences))


async def produce(bootstrap: str, topic: str, partitions: int, log: Iterable[LogRecord]) -> int:
    """Write a log; the number of records. In batches per partition, which is ten times as fast as sends."""
    count = 0
    async with producer_client(bootstrap) as producer:
        lots = [Batches(producer, topic, partition) for partition in range(partitions)]
        sizes = [0] * partitions
        for record in log:
            partition = record.partition
            await lots[partition].add(record.key, record.value, record.timestamp)
            sizes[partition] += 1
            count += 1
            if sizes[partition] == BATCH_RECORDS:
                await lots[partition].acknowledged()
                lots[partition], sizes[partition] = Batches(producer, topic, partition), 0
        for partition, size in enumerate(sizes):
            if size:
                await lots[partition].acknowledged()
    return count


async def committed(admin: AIOKafkaAdminClient, group: str, topic: str) -> int:
    """Sum of the committed offsets of a group over a topic's partitions."""
    offsets = await admin.list_consumer_group_offsets(group)
    return sum(max(0, each.offset) for tp, each in offsets.items() if tp.topic == topic)


async def read_all(bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Any]:
    """Every record (aiokafka's) that is on a topic now."""
    async with new_consumer(Broker(bootstrap)) as consumer:
        tps = [TopicPartition(topic, each) for each in range(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        behind = {tp for tp in tps if ends[tp] > 0}
        while behind:
            polled = await consumer.getmany(timeout_ms=500, max_records=20_000)
            for records in polled.values():
                for record in records:
                    yield record
            behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
