"""The history of a partition, read from a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from agents.backfill.history.extent import (
    Begin,
    Extent,
    Start,
    begins_of,
    decode_extent,
    encode_extent,
    extent_of,
)
from agents.backfill.history.history import History
from agents.backfill.history.imports import NOT_IMPORTED, Piece, Run, position_header
from agents.backfill.history.reader import HistoryLost, history_consumer
from agents.evaluate.steps import Record
from agents.kafka.broker import Broker
from agents.topics import create_topics

DAY_MS = 86_400_000
T = 1_704_067_200_000


class Lab:
    """Topics of a test's own."""

    def __init__(
        self, broker: str, prefix: str, producer: AIOKafkaProducer, admin: AIOKafkaAdminClient
    ) -> None:
        self.new_consumer: Callable[[], AIOKafkaConsumer] = partial(history_consumer, Broker(broker))
        self.prefix = prefix
        self.producer = producer
        self.admin = admin

    async def topic(self, name: str, partitions: int = 1) -> str:
        name = f"{self.prefix}.{name}"
        await create_topics(self.admin, {name: (partitions, {"retention.ms": "-1"})}, 1)
        return name

    async def send(
        self,
        topic: str,
        timestamps: Sequence[int],
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        for at, ms in enumerate(timestamps):
            given = [headers[at]] if headers else []
            await self.producer.send(
                topic, str(ms).encode(), partition=partition, timestamp_ms=T + ms, headers=given
            )
        await self.producer.flush()

    async def cut_off(self, topic: str, before: int) -> None:
        """Do as retention does."""
        await self.admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})

    async def extent(
        self, sources: Sequence[TopicPartition], from_ms: int | None = None, runs: Sequence[Run] = ()
    ) -> Extent:
        async with self.new_consumer() as consumer:
            return await extent_of(consumer, runs, sources, from_ms)


@asynccontextmanager
async def lab_of(broker: str, prefix: str) -> AsyncIterator[Lab]:
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        try:
            yield Lab(broker, prefix, producer, admin)
        finally:
            await admin.close()


async def read(history: History, most: int = 100, until: int = 1 << 30) -> list[Record]:
    found: list[Record] = []
    while not history.is_at_end and len(found) < until:
        run = history.next_run(most)
        found += run
        if not run:
            await history.fetch()
    return found


def told(records: Sequence[Record]) -> list[int]:
    return [int(each.value or b"") for each in records]


async def test_sources_are_merged_by_timestamp_and_stop_exactly_at_their_ends(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, topic_prefix) as lab:
        one, two = await lab.topic("a", 2), await lab.topic("b")
        await lab.send(one, [1, 4, 3, 9], 0)
        await lab.send(one, [2, 5, 8], 1)
        await lab.send(two, [0, 4, 4, 7, 10])
        places = [TopicPartition(one, 0), TopicPartition(one, 1), TopicPartition(two, 0)]
        history = History(lab.new_consumer, await lab.extent(places))
        history.extend({places[0]: 4, places[1]: 3, places[2]: 3})
        assert (history.total, history.done) == (10, 0)
        assert told(await read(history)) == [0, 1, 2, 4, 3, 4, 4, 5, 8, 9]
        assert (history.remaining, history.done) == (0, 10)
        further = {places[2]: 5}
        async with asyncio.timeout(60):
            while not history.has_fetched_to(further):
                await history.fetch()
        history.extend(further)
        assert told(history.next_run(100)) == [7, 10]
        assert history.is_at_end
        await history.close()


async def test_it_starts_at_an_instant_and_goes_on_after_what_an_earlier_life_took(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, topic_prefix) as lab:
        topic = await lab.topic("a")
        place = TopicPartition(topic, 0)
        await lab.send(topic, range(100))
        extent = await lab.extent([place], T + 30)
        assert extent.starts == (Start(topic, 0, 30),)
        assert decode_extent(encode_extent(extent)) == extent
        history = History(lab.new_consumer, extent)
        history.extend({place: 100})
        first = await read(history, most=7, until=10)
        await history.close()
        again = History(lab.new_consumer, extent, lambda _, __: first[-1].offset)
        again.extend({place: 100})
        assert again.done == len(first)
        assert told([*first, *await read(again)]) == list(range(30, 100))
        await again.close()


async def test_a_partition_that_a_topic_got_meanwhile_is_read_from_its_begin(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, topic_prefix) as lab:
        topic = await lab.topic("a", 2)
        first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        await lab.send(topic, [1, 3], 0)
        await lab.send(topic, [2, 4], 1)
        history = History(lab.new_consumer, await lab.extent([first]))
        history.extend({first: 1})
        assert told(await read(history)) == [1]
        assert history.behind({first: 2, second: 2}) == 3
        assert not history.has_fetched_to({second: 1})
        history.extend({first: 2, second: 2})
        assert told(await read(history)) == [2, 3, 4]
        await history.close()


async def test_records_that_retention_took_before_they_were_read_are_an_error(
    kafka: str, topic_prefix: str
) -> None:
    async with lab_of(kafka, topic_prefix) as lab:
        topic = await lab.topic("a")
        place = TopicPartition(topic, 0)
        await lab.send(topic, range(20))
        extent = await lab.extent([place])
        await lab.cut_off(topic, 10)
        begun = History(lab.new_consumer, extent, lambda _, __: 4)
        begun.extend({place: 20})
        with pytest.raises(HistoryLost, match=r"offsets 5 to 9 of .*/0 were gone"):
            await read(begun)
        await begun.close()
        fresh = History(lab.new_consumer, extent)
        fresh.extend({place: 20})
        assert told(await read(fresh)) == list(range(10, 20))
        await fresh.close()


async def test_how_far_back_a_log_goes_is_told_by_its_first_record(kafka: str, topic_prefix: str) -> None:
    async with lab_of(kafka, topic_prefix) as lab:
        topic = await lab.topic("a", 2)
        await lab.send(topic, range(20))
        await lab.cut_off(topic, 10)
        async with lab.new_consumer() as consumer:
            begins = await begins_of(consumer, [TopicPartition(topic, 0), TopicPartition(topic, 1)])
    assert begins == {TopicPartition(topic, 0): Begin(10, T + 10), TopicPartition(topic, 1): Begin(0, None)}


async def test_imports_come_before_the_sources_in_the_order_of_their_time(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, topic_prefix) as lab:
        old, topic = await lab.topic("history"), await lab.topic("a")
        await lab.send(old, [10, 20, 30], headers=[position_header("x", each) for each in range(3)])
        # Written twice by two processes at once, and by an import that never ended.
        twice = [*zip([5, 5, 15, 15, 25], [0, 0, 1, 1, 2], strict=True)]
        await lab.send(old, [ms for ms, _ in twice], headers=[position_header("y", at) for _, at in twice])
        await lab.send(old, [1, 2], headers=[position_header("z", each) for each in range(2)])
        await lab.send(topic, [0, 100])
        runs = [
            Run(old, 0, [Piece(NOT_IMPORTED, 8, 10)]),
            Run(old, 0, [Piece("x", 0, 3, T + 10, T + 30)]),
            Run(old, 0, [Piece("y", 3, 8, T + 5, T + 25)]),
        ]
        place = TopicPartition(topic, 0)
        extent = await lab.extent([place], runs=runs)
        history = History(lab.new_consumer, extent)
        history.extend({place: 2})
        found = await read(history, most=2)
        assert told(found) == [5, 10, 15, 20, 25, 30, 0, 100]
        assert [each.offset for each in found] == [*range(6), 0, 1]
        await history.close()
        again = History(lab.new_consumer, extent, lambda name, _: 3 if name == old else -1)
        again.extend({place: 2})
        assert told(await read(again)) == [25, 30, 0, 100]
        await again.close()
        later = History(lab.new_consumer, await lab.extent([place], T + 16, runs))
        later.extend({place: 2})
        assert told(await read(later)) == [20, 25, 30, 100]
        await later.close()
