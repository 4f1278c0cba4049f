"""A consumer with raw records, on Apache Kafka, gives what one without them gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.kafka.consumed import Consumed
from agents.kafka.raw.hooks import RawFetches, use_raw_records
from agents.kafka.raw.records import RawRecords
from agents.topics import create_topics
from tests.stage.ends import ends_of

COMPRESSIONS = [None, "gzip", "snappy", "lz4", "zstd"]
RECORDS = 400


async def new_topic(kafka: str, topic: str, **configs: str) -> TopicPartition:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    given = {name.replace("_", "."): each for name, each in configs.items()}
    await create_topics(admin, {topic: (1, {"retention.ms": "-1", **given})}, 1)
    await admin.close()
    return TopicPartition(topic, 0)


async def write(kafka: str, topic: str, compression: str | None = None, count: int = RECORDS) -> None:
    """Records of all shapes in several batches."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type=compression, max_batch_size=2_000
    ) as producer:
        for number in range(count):
            await producer.send(
                topic,
                key=b"k%d" % number if number % 3 else None,
                value=(b"value %d " % number * (number % 9)) if number % 3 != 1 else None,
                timestamp_ms=1_700_000_000_000 + number * 7 % 50,
                headers=[("n", b"%d" % number), ("é", b"")][: number % 3],
                partition=0,
            )


async def read(
    kafka: str, tp: TopicPartition, raw: RawFetches | None, start: int = 0, **varied: Any
) -> tuple[list[Consumed], list[Sequence[Consumed]], int]:
    """All records from ``start`` on, as polls brought them, and the position when the end is reached."""
    isolation = varied.pop("isolation_level", "read_committed")
    consumer: AIOKafkaConsumer = new_consumer(Broker(kafka), isolation_level=isolation, **varied)
    await consumer.start()
    try:
        if raw is not None:
            use_raw_records(consumer, raw)
        consumer.assign([tp])
        consumer.seek(tp, start)
        end = (await ends_of(kafka, [tp]))[tp]
        polls: list[Sequence[Consumed]] = []
        async with asyncio.timeout(60):
            while await consumer.position(tp) < end:
                polls += (await consumer.getmany(timeout_ms=200, max_records=150)).values()
        return [each for some in polls for each in some], polls, await consumer.position(tp)
    finally:
        await consumer.stop()


async def same(
    kafka: str, tp: TopicPartition, raw: RawFetches, start: int = 0, **varied: Any
) -> list[Consumed]:
    found, polls, position = await read(kafka, tp, raw, start, **varied)
    expected, _, stands = await read(kafka, tp, None, start, **varied)
    assert polls
    assert all(isinstance(some, RawRecords) for some in polls)
    assert found == expected
    assert position == stands
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_every_compression_is_read(
    kafka: str, topic_prefix: str, raw: RawFetches, compression: str | None
) -> None:
    tp = await new_topic(kafka, f"{topic_prefix}.events")
    await write(kafka, tp.topic, compression)
    assert len(await same(kafka, tp, raw)) == RECORDS
    # It begins in the middle of a batch, and each fetch ends in the middle of one.
    found = await same(kafka, tp, raw, start=137, max_partition_fetch_bytes=3_000, fetch_max_bytes=3_000)
    assert found[0].offset == 137


async def test_the_broker_packs_as_its_topic_says(kafka: str, topic_prefix: str, raw: RawFetches) -> None:
    """Then Java wrote the batches: its snappy and its lz4 have heads of their own."""
    for compression in ("gzip", "snappy", "lz4", "zstd"):
        tp = await new_topic(kafka, f"{topic_prefix}.{compression}", compression_type=compression)
        await write(kafka, tp.topic)
        assert len(await same(kafka, tp, raw)) == RECORDS


async def test_the_broker_may_say_when_records_came(kafka: str, topic_prefix: str, raw: RawFetches) -> None:
    tp = await new_topic(kafka, f"{topic_prefix}.events", message_timestamp_type="LogAppendTime")
    await write(kafka, tp.topic, "lz4")
    found = await same(kafka, tp, raw)
    assert min(each.timestamp for each in found) > 1_700_000_100_000


async def test_aborted_transactions_are_left_out(kafka: str, topic_prefix: str, raw: RawFetches) -> None:
    tp = await new_topic(kafka, f"{topic_prefix}.events")
    wanted: list[bytes] = []
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic_prefix}.1") as one,
        AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic_prefix}.2") as other,
    ):
        for number in range(12):
            await one.begin_transaction()
            await other.begin_transaction()
            for producer, name in ((one, b"one"), (other, b"other"), (one, b"one")):
                value = b"%d of %s" % (number, name)
                await (await producer.send(tp.topic, value, partition=0))
                if number % (2 if producer is one else 3) == 0:
                    wanted.append(value)
            await (one.commit_transaction() if number % 2 == 0 else one.abort_transaction())
            await (other.commit_transaction() if number % 3 == 0 else other.abort_transaction())
    found = await same(kafka, tp, raw)
    assert [each.value for each in found] == wanted
    assert len(await same(kafka, tp, raw, start=7, max_partition_fetch_bytes=200, fetch_max_bytes=200)) > 10
    assert len(await same(kafka, tp, raw, isolation_level="read_uncommitted")) == 36


async def test_a_record_larger_than_a_fetch_is_read(kafka: str, topic_prefix: str, raw: RawFetches) -> None:
    tp = await new_topic(kafka, f"{topic_prefix}.events", max_message_bytes="4000000")
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=4_000_000) as producer:
        for size in (10, 3_000_000, 10):
            await producer.send_and_wait(tp.topic, bytes(size), partition=0)
    found = await same(kafka, tp, raw, max_partition_fetch_bytes=1_000, fetch_max_bytes=1_000)
    assert [len(each.value or b"") for each in found] == [10, 3_000_000, 10]


async def test_other_topics_come_as_ever(kafka: str, topic_prefix: str, raw: RawFetches) -> None:
    tp = await new_topic(kafka, f"{topic_prefix}.plain")
    await write(kafka, tp.topic, count=20)
    found, polls, _ = await read(kafka, tp, raw)
    assert len(found) == 20
    assert all(type(some) is list for some in polls)
