"""The stores of partitions, opened where their changelogs go on: for a recovery, and for those who follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.restore.lost import ChangelogLost, fault_of, headless
from agents.restore.reading import Reading
from agents.restore.stores import store_path
from agents.topics.noted import CHANGELOG_MEND, last_checkpoints
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from tables.changelog.reader import ChangelogReader
from tables.codec import Checkpoint
from tables.member_index import index_rows
from tables.meta import StoreMeta, decode_meta
from tables.opening import open_store
from tables.store import RocksMemory, RocksStore
from tables.store_faults import StoreInUse

log = structlog.get_logger("turnstile.restore")

LOCKED_SECONDS = 10.0
"""How long a store may stay locked by a process that is ending."""


class ChangelogStores:
    """The stores of one process, in one directory, and the changelog that they belong to."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        directory: Path,
        memory: RocksMemory,
        topics: WrittenTopics,
        warnings: Warnings | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self._directory = directory
        self._memory = memory
        self.topics = topics
        self.warnings = warnings or Warnings()

    def path(self, partition: int) -> Path:
        return store_path(self._directory, self.topics.changelog, partition)

    def tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topics.changelog, partition)

    async def ends(self, partitions: set[int]) -> dict[int, int]:
        """The changelog's end offset per partition."""
        async with self._new_consumer() as consumer:
            ends = await consumer.end_offsets([self.tp(each) for each in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def open_stores(
        self, consumer: AIOKafkaConsumer, partitions: set[int], readings: dict[int, Reading]
    ) -> None:
        """Open the stores, put them into ``readings``, and have ``consumer`` go where their changelogs go on.

        Raises StoreInUse and other StoreUnusable; what is in ``readings`` then is open.
        """
        tps = [self.tp(each) for each in sorted(partitions)]
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            path = self.path(tp.partition)
            store, meta_bytes = await self._open_when_free(path)
            meta = decode_meta(meta_bytes) if meta_bytes is not None else None
            meta = meta or StoreMeta(0, b"").indexed()
            position = max(meta.changelog_next, begins[tp])
            reader = ChangelogReader(position, meta.checkpoint, self.topics.changelog_id)
            readings[tp.partition] = Reading(store, reader, ends[tp], meta)
            consumer.seek(tp, min(reader.position, ends[tp]))

    async def faults(self, readings: dict[int, Reading]) -> dict[int, str]:
        """Of partitions whose changelog doesn't go with the store: why. Nothing was written to one yet."""
        topics, cut = self.topics, headless(readings)
        checkpoints: dict[int, Checkpoint] = {}
        if cut:
            async with self._new_consumer() as consumer:
                checkpoints = await last_checkpoints(consumer, topics.changelog, cut)
        found: dict[int, str] = {}
        for partition, reading in sorted(readings.items()):
            name, path = f"{topics.changelog}/{partition}", self.path(partition)
            fault = fault_of(name, topics.changelog_id, path, reading, checkpoints.get(partition))
            if fault is not None:
                found[partition] = fault
        return found

    async def check_changelog(self, readings: dict[int, Reading]) -> None:
        """Raises ChangelogLost; nothing was written to a store yet, and nothing will be."""
        if faults := await self.faults(readings):
            raise ChangelogLost("\n".join([*faults.values(), CHANGELOG_MEND]))

    async def index(self, partition: int, reading: Reading) -> None:
        """Make the index of members of a store that a program without it wrote last."""
        if reading.known.is_indexed:
            return
        began, rows = time.monotonic(), 0
        for looked_at in index_rows(reading.store, reading.known):
            rows += looked_at
            await asyncio.sleep(0)
        log.info("members_indexed", partition=partition, rows=rows, seconds=time.monotonic() - began)

    async def _open_when_free(self, path: Path) -> tuple[RocksStore, bytes | None]:
        """Open a store. A locked one may be of a process that is ending: wait a while. Raises StoreInUse."""
        deadline = time.monotonic() + LOCKED_SECONDS
        while True:
            try:
                return self._open_store(path)
            except StoreInUse:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)

    def _open_store(self, path: Path) -> tuple[RocksStore, bytes | None]:
        """The store and its meta value. A damaged one is set aside, and the changelog brings its rows."""
        opened = open_store(path, self._memory)
        if opened.fault is not None:
            self.warnings.note(
                "store_broken",
                str(path),
                f"the files of {path} were damaged ({opened.fault}); they lie in {opened.aside} now, and the "
                "rows are restored from the changelog",
            )
        return opened.store, opened.meta
