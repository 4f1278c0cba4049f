"""Finished batches through aiokafka's producer: nothing twice, nothing out of order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from agents.kafka.broker import Broker
from agents.kafka.clients import new_producer
from agents.kafka.producer import Producer
from agents.kafka.raw.hooks import Ready, ready
from bench.kafka.apache import ApacheKafka
from tests.agents.kafka.raw.test_raw_consumer import new_topic, read

EACH = 7


def numbered(core: Any, producer: AIOKafkaProducer, number: int, is_packed: bool = False) -> Ready:
    """A batch of records with numbers of their own."""
    rows = [(1_000 + at, b"k", b"%d" % (number * EACH + at), [("h", b"x" * 40)]) for at in range(EACH)]
    ((batch, count),) = core.batches(rows, 1 << 20, is_packed)
    return ready(producer, batch, count, core.stamp)


@pytest.mark.slow
async def test_a_broker_that_is_killed_loses_and_doubles_nothing(
    core: Any, kafka_node: ApacheKafka, topic_prefix: str
) -> None:
    tp = await new_topic(kafka_node.bootstrap, topic_prefix)
    async with Producer(Broker(kafka_node.bootstrap), idempotence=True) as producer:
        futures = []

        async def send() -> None:
            for number in range(300):
                if number % 5:
                    batch: Any = numbered(core, producer, number, number % 2 == 0)
                else:
                    batch = producer.create_batch()
                    for at in range(EACH):
                        batch.append(key=b"k", value=b"%d" % (number * EACH + at), timestamp=None)
                    batch.close()
                futures.append(await producer.send_batch(batch, tp.topic, partition=0))

        sending = asyncio.create_task(send())
        for _ in range(2):
            await asyncio.sleep(0.05)
            kafka_node.kill()
            await asyncio.to_thread(kafka_node.restart)
        await asyncio.wait_for(sending, 120)
        offsets = [(await future).offset for future in futures]
    found, _, _ = await read(kafka_node.bootstrap, tp, None)
    assert [int(each.value or b"") for each in found] == list(range(300 * EACH))
    assert offsets == list(range(0, 300 * EACH, EACH))


async def test_transactions_have_finished_batches(core: Any, kafka: str, topic_prefix: str) -> None:
    tp = await new_topic(kafka, topic_prefix)
    async with new_producer(Broker(kafka), idempotence=True, transactional_id=topic_prefix) as producer:
        for number in range(6):
            await producer.begin_transaction()
            for part in range(2):
                await producer.send_batch(numbered(core, producer, number * 2 + part), tp.topic, partition=0)
            await (producer.abort_transaction() if number % 3 == 1 else producer.commit_transaction())
    found, _, _ = await read(kafka, tp, None)
    expected = [2 * EACH * number + at for number in (0, 2, 3, 5) for at in range(2 * EACH)]
    assert [int(each.value or b"") for each in found] == expected


@pytest.mark.parametrize("idempotence", [False, True])
async def test_a_refused_batch_leaves_no_gap(
    core: Any, kafka: str, topic_prefix: str, idempotence: bool
) -> None:
    tp = await new_topic(kafka, topic_prefix, max_message_bytes="2000")
    async with Producer(Broker(kafka), idempotence=idempotence) as producer:
        ((large, count),) = core.batches([(0, b"k", bytes(3_000), [])] * 3, 1 << 20)
        batches = [
            numbered(core, producer, 0),
            ready(producer, large, count, core.stamp),
            numbered(core, producer, 1),
        ]
        futures = [await producer.send_batch(each, tp.topic, partition=0) for each in batches]
        assert (await futures[0]).offset == 0
        with pytest.raises(MessageSizeTooLargeError):
            await futures[1]
        assert (await futures[2]).offset == EACH
    found, _, _ = await read(kafka, tp, None)
    assert [int(each.value or b"") for each in found] == list(range(2 * EACH))
