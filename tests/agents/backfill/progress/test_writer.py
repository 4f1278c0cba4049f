"""What the partitions of a worker say reaches the topic, each state once and figures now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from aiokafka import AIOKafkaProducer

from agents.backfill.progress.progress import Progress, ProgressKey, ProgressOfVersions, progress_feed
from agents.backfill.progress.writer import FIGURES_SECONDS, ProgressWriter
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.feed import Feed
from agents.registry.registry import RegistryRecord
from agents.topics import create_topics
from agents.warnings import Warnings

KEY = ProgressKey("default", "fans", 2, 0)


class Lab:
    def __init__(self, producer: AIOKafkaProducer, feed: Feed[ProgressOfVersions]) -> None:
        self.feed = feed
        self.writer = ProgressWriter(producer, feed, Warnings())
        self.seen: list[Progress | None] = []
        """What came on the topic under ``KEY``, record by record."""
        take = feed.registry.take

        def noted(record: RegistryRecord) -> bool:
            taken = take(record)
            self.seen.append(feed.registry.published.get(KEY))
            return taken

        feed.registry.take = noted  # type: ignore[method-assign]

    async def until(self, records: int) -> None:
        async with asyncio.timeout(60):
            while len(self.seen) < records:
                await asyncio.sleep(0.01)

    @property
    def states(self) -> list[tuple[str, int] | None]:
        return [None if each is None else (each.state, each.done) for each in self.seen]


@asynccontextmanager
async def lab_of(bootstrap: str, topic: str) -> AsyncIterator[Lab]:
    broker = Broker(bootstrap)
    async with new_producer(broker, idempotence=False) as producer:
        admin = new_admin(broker)
        await admin.start()
        await create_topics(admin, {topic: (1, {"cleanup.policy": "compact"})}, 1)
        await admin.close()
        lab = Lab(producer, progress_feed(partial(new_consumer, broker), topic, Warnings()))
        tasks = [asyncio.create_task(lab.feed.run()), asyncio.create_task(lab.writer.run())]
        await lab.feed.loaded.wait()
        try:
            yield lab
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def test_states_are_sent_at_once_and_figures_at_most_once_a_second(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, f"{topic_prefix}.progress") as lab:
        begun = asyncio.get_running_loop().time()
        for done in range(30):
            lab.writer.note(KEY, Progress("replaying", done, 30))
            await asyncio.sleep(0)
        lab.writer.note(KEY, Progress("replaying", 29, 30))
        await lab.until(2)
        assert asyncio.get_running_loop().time() - begun >= FIGURES_SECONDS * 0.9
        lab.writer.note(KEY, Progress("cut", 30, 30, enters=4, exits=0))
        lab.writer.note(KEY, Progress("replaying", 5, 30))
        await lab.until(3)
        assert lab.states[0] is not None
        assert lab.states[0][1] < 10
        assert lab.states[1:] == [("replaying", 29), ("cut", 30)]
        assert lab.feed.registry.published[KEY].at_ms > 0


async def test_what_is_derived_again_is_sent_only_where_readers_lack_it(
    broker: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}.progress"
    async with lab_of(broker, topic) as lab:
        lab.writer.note(KEY, Progress("cut", 9, 9, enters=4, exits=1, members=7))
        await lab.writer.flush()
        await lab.until(1)
    async with lab_of(broker, topic) as again:
        again.writer.note_again(KEY, Progress("cut"))
        again.writer.note(KEY, Progress("replaying", 1, 9))
        again.writer.note(ProgressKey("default", "fans", 1, 0), Progress("ready"))
        await again.writer.flush()
        await again.until(2)
        assert again.states == [("cut", 9), ("cut", 9)]
        again.writer.note_again(KEY, Progress("ready"))
        await again.until(3)
        assert again.states[2:] == [("ready", 9)]


async def test_a_version_that_is_in_force_nowhere_is_taken_from_the_topic(
    broker: str, topic_prefix: str
) -> None:
    async with lab_of(broker, f"{topic_prefix}.progress") as lab:
        lab.writer.note(KEY, Progress("ready"))
        await lab.until(1)
        lab.writer.forget(KEY)
        await lab.until(2)
        assert lab.states == [("ready", 0), None]
        lab.writer.forget(KEY)
        await lab.writer.flush()
        assert len(lab.seen) == 2
