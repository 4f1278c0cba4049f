"""A changelog that isn't what the store knows: its follower begins again, or says that it can't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.follow.follower import Follower
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer
from agents.restore.opening import ChangelogStores
from agents.topics import create_topics
from agents.topics.look import look
from agents.topics.written import WrittenTopics
from rules.state.row import Row
from tables.codec import CHECKPOINT_KEY, Checkpoint, encode_checkpoint, encode_row
from tables.store import RocksMemory
from tests.stage.topics import delete_topics
from tests.stage.workers import until

ROCKS = RocksMemory.of(8 << 20, 8 << 20)


class Changelog:
    """A topic of one partition, written by hand."""

    def __init__(self, bootstrap: str, name: str, folder: Path) -> None:
        self.broker = Broker(bootstrap)
        self.name = name
        self.folder = folder
        self.admin = new_admin(self.broker)
        self.producer: AIOKafkaProducer

    async def make(self) -> WrittenTopics:
        await create_topics(self.admin, {self.name: (1, {"cleanup.policy": "compact,delete"})}, 1)
        return WrittenTopics(self.name, "", "", 1, 1, changelog_id=await self.id() or b"")

    async def id(self) -> bytes | None:
        """None: there is no such topic now."""
        return (await look(self.admin, [self.name])).ids.get(self.name)

    async def write(self, step: int, *users: str) -> None:
        checkpoint = encode_checkpoint(Checkpoint(step, step, step, "", 1))
        row = encode_row(Row(step, base_ms=step))
        for key, value in ((CHECKPOINT_KEY, checkpoint), *((each.encode(), row) for each in users)):
            await self.producer.send_and_wait(self.name, value, key, partition=0)
        await self.producer.send_and_wait(self.name, checkpoint, CHECKPOINT_KEY, partition=0)

    @asynccontextmanager
    async def followed(self, topics: WrittenTopics) -> AsyncIterator[Follower]:
        consumer = partial(new_consumer, self.broker)
        stores = ChangelogStores(consumer, self.folder, ROCKS, topics)
        follower = Follower(stores, partial(consumer, auto_offset_reset="none"))
        follower.follow([0])
        running = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            follower.close()


def users_of(follower: Follower) -> list[bytes]:
    """Of the followed store, once it is whole."""
    followed = follower.followed.get(0)
    if followed is None or not followed.is_whole or followed.checkpoint is None:
        return []
    return [key for key, _ in followed.reading.store.scan(b"", 10)]


async def test_another_changelog_is_followed_from_its_beginning_and_one_without_its_head_is_not(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = Changelog(kafka, f"{topic_prefix}-changelog", tmp_path)
    await log.admin.start()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as log.producer:
        try:
            topics = await log.make()
            await log.write(1, "ann", "bob")
            async with log.followed(topics) as follower:
                await until(lambda: users_of(follower) == [b"ann", b"bob"], "both are there", 20)
                await log.write(2, "eve")
                await until(lambda: b"eve" in users_of(follower), "a later row comes", 20)
                await delete_topics(log.admin, [log.name])
                again = await log.make()
                await log.write(1, "zoe")
                follower.begin_anew(again)
                await until(lambda: users_of(follower) == [b"zoe"], "only the new topic's rows are there", 20)
            # Somebody removes the head while nobody follows.
            await log.write(2, "ida")
            await log.admin.delete_records({TopicPartition(log.name, 0): RecordsToDelete(-1)})
            await log.write(3, "kim")
            async with log.followed(again) as follower:
                await until(lambda: 0 in follower.unfollowed, "it is refused", 20)
                assert "begins at offset" in follower.unfollowed[0]
                assert not follower.followed
        finally:
            await log.admin.close()
