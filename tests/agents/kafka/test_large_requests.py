"""More at once than a broker takes in one request."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.broker import Broker
from agents.kafka.producer import REQUEST_BYTES, Producer
from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES
from agents.topics import create_topics

PARTITIONS = 14
VALUE = bytes(LARGE_MESSAGE_BYTES - 1000)
SOCKET_REQUEST_BYTES = 100 * 1024 * 1024
"""A broker's default; it ends the connection that brings more."""


async def test_large_batches_of_many_partitions_go_in_several_requests(kafka: str, topic_prefix: str) -> None:
    assert PARTITIONS * len(VALUE) > SOCKET_REQUEST_BYTES > REQUEST_BYTES
    topic = f"{topic_prefix}.large"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    configs = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
    await create_topics(admin, {topic: (PARTITIONS, configs)}, 1)
    await admin.close()
    async with Producer(Broker(kafka), idempotence=True) as producer:

        async def send(partition: int) -> int:
            batch = producer.create_batch()
            batch.append(timestamp=None, key=b"k", value=VALUE, headers=[])
            return int((await (await producer.send_batch(batch, topic, partition=partition))).offset)

        both = [send(partition) for partition in range(PARTITIONS)] + [send(0)]
        offsets = await asyncio.wait_for(asyncio.gather(*both), 60)
        assert sorted(offsets) == [0] * PARTITIONS + [1]
