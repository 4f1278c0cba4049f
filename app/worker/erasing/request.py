"""A request to erase a user, on its way to the user's partition."""

from __future__ import annotations

import secrets
import time

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.evaluate.partition.request import requested_before
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer, new_producer
from agents.kafka.placement import partition_of
from agents.topics.look import look
from agents.topics.plan import TopicPlan
from app.worker.erasing.answers import ErasureAsked

_encode = msgspec.json.Encoder().encode


async def ask_erasure(
    broker: Broker,
    admin: AIOKafkaAdminClient,
    plan: TopicPlan,
    partitions: int,
    project: str,
    user_id: str,
) -> ErasureAsked:
    """Write the request, and wait until all replicas have it; ``partitions`` are those of the table.

    Raises KafkaError.
    """
    topics = (await look(admin, plan.events)).topics
    homes = [TopicPartition(name, partition_of(user_id, each.partitions)) for name, each in topics.items()]
    async with new_consumer(broker) as consumer:
        ends = await consumer.end_offsets(homes)
    before: dict[str, dict[int, int]] = {}
    for tp, end in ends.items():
        before.setdefault(tp.topic, {})[tp.partition] = end
    asked = ErasureAsked(secrets.token_hex(16), project, partition_of(user_id, partitions))
    value = _encode({"type": "delete", "user_id": user_id, "project": project, "id": asked.id})
    producer = new_producer(broker, idempotence=False)
    try:
        await producer.start()
        await producer.send_and_wait(
            plan.repartition,
            value,
            user_id.encode(),
            asked.partition,
            timestamp_ms=time.time_ns() // 1_000_000,
            headers=[requested_before(before)],
        )
    finally:
        await producer.stop()
    return asked
