"""Recovery: a partition's rows, timer index and outboxes from its changelog, in batches.

The store remembers the changelog offset up to which it is complete; what comes after is read with a
consumer of our own, many records at a time (Faust's recovery goes record by record). Transitions that are
not known to be in Kafka (``tables.changelog``) are sent again (``agents.restore.resend``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from agents.restore.ahead import RECORDS, Job, cores, restore_ahead, shares
from agents.restore.lost import ChangelogLost, PartitionsChanged, fault_of, headless
from agents.restore.reading import Reading
from agents.restore.resend import Pending, from_kept
from agents.restore.stores import store_path
from agents.topics.noted import CHANGELOG_MEND, last_checkpoints
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from tables.changelog.reader import ChangelogReader
from tables.codec import Checkpoint
from tables.meta import StoreMeta, decode_meta
from tables.opening import open_store
from tables.profiles import Profiles
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import StoreBroken, StoreInUse, StoreUnusable

log = structlog.get_logger("turnstile.restore")

LOCKED_SECONDS = 10.0
"""How long a store may stay locked by a process that is ending."""


class Restorer:
    """Opens partitions: store first, then the rest of the changelog. ``ahead`` is what other processes may do
    before (``agents.restore.ahead``); without it all is read here."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        directory: Path,
        memory: RocksMemory,
        topics: WrittenTopics,
        limits: Limits,
        cache_rows: int,
        ahead: Job | None = None,
        warnings: Warnings | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self._directory = directory
        self._memory = memory
        self._topics = topics
        self._limits = limits
        self._cache_rows = cache_rows
        self._ahead = ahead
        self.rows_restored = 0
        self.warnings = warnings or Warnings()

    def path(self, partition: int) -> Path:
        return store_path(self._directory, self._topics.changelog, partition)

    async def ends(self, partitions: set[int]) -> dict[int, int]:
        """The changelog's end offset per partition."""
        async with self._new_consumer() as consumer:
            ends = await consumer.end_offsets([self._tp(each) for each in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def open(self, partitions: set[int]) -> tuple[dict[int, Pipeline], list[Pending]]:
        """Pipelines that are up to date, and the outputs that must be sent before anything else.

        Raises PartitionsChanged, ChangelogLost. If cancelled, the stores are closed and whole.
        """
        if not partitions:
            return {}, []  # and no consumer: aiokafka's stop raises CancelledError when it comes at once
        readings: dict[int, Reading] = {}
        try:
            async with self._new_consumer() as consumer:
                await self._open_stores(consumer, partitions, readings)
                await self._check_changelog(readings)
                if await self._restored_ahead(readings):
                    await self._open_stores(consumer, partitions, readings)
                await self._read(consumer, readings)
        except BaseException:
            for reading in readings.values():
                with contextlib.suppress(StoreBroken, StoreUnusable):
                    reading.store.close()
            raise
        pending: list[Pending] = []
        pipelines: dict[int, Pipeline] = {}
        for partition, reading in readings.items():
            pipelines[partition] = self._pipeline(partition, reading, pending)
        return pipelines, pending

    async def _check_changelog(self, readings: dict[int, Reading]) -> None:
        """Raises ChangelogLost; nothing was written to a store yet, and nothing will be."""
        topics, cut = self._topics, headless(readings)
        checkpoints: dict[int, Checkpoint] = {}
        if cut:
            async with self._new_consumer() as consumer:
                checkpoints = await last_checkpoints(consumer, topics.changelog, cut)
        faults: list[str] = []
        for partition, reading in sorted(readings.items()):
            name, path = f"{topics.changelog}/{partition}", self.path(partition)
            fault = fault_of(name, topics.changelog_id, path, reading, checkpoints.get(partition))
            if fault is not None:
                faults.append(fault)
        if faults:
            raise ChangelogLost("\n".join([*faults, CHANGELOG_MEND]))

    async def _open_stores(
        self, consumer: AIOKafkaConsumer, partitions: set[int], readings: dict[int, Reading]
    ) -> None:
        tps = [self._tp(each) for each in sorted(partitions)]
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            path = self.path(tp.partition)
            store, meta_bytes = await self._open_when_free(path)
            meta = decode_meta(meta_bytes) if meta_bytes is not None else None
            meta = meta or StoreMeta(0, b"")
            position = max(meta.changelog_next, begins[tp])
            reader = ChangelogReader(position, meta.checkpoint, self._topics.changelog_id)
            readings[tp.partition] = Reading(store, reader, ends[tp], meta)
            consumer.seek(tp, min(reader.position, ends[tp]))

    async def _restored_ahead(self, readings: dict[int, Reading]) -> bool:
        """With much to read and several cores, close the stores and let other processes write them."""
        behind = {partition: each.end - each.changelog.position for partition, each in readings.items()}
        behind = {partition: records for partition, records in behind.items() if records > 0}
        if self._ahead is None or sum(behind.values()) < RECORDS or min(len(behind), cores()) < 2:
            return False
        while readings:
            readings.popitem()[1].store.close()
        await restore_ahead(self._ahead, shares(behind, cores()), self._restored)
        return True

    def _restored(self, rows: int) -> None:
        self.rows_restored += rows

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

    async def _read(self, consumer: AIOKafkaConsumer, readings: dict[int, Reading]) -> None:
        behind = {partition for partition, each in readings.items() if each.changelog.position < each.end}
        consumer.pause(*(self._tp(partition) for partition in readings if partition not in behind))
        while behind:
            polled = await consumer.getmany(timeout_ms=200, max_records=20_000)
            for tp, records in polled.items():
                reading = readings[tp.partition]
                self.rows_restored += reading.take(records, self.warnings)
                await asyncio.sleep(0)
            for partition in list(behind):
                reading = readings[partition]
                # The position passes records that compaction took, and markers of transactions.
                reading.changelog.position = await consumer.position(self._tp(partition))
                if reading.changelog.position >= reading.end:
                    behind.discard(partition)
                    consumer.pause(self._tp(partition))
                    reading.store.write(Write(meta=reading.changelog.meta))

    def _pipeline(self, partition: int, reading: Reading, pending: list[Pending]) -> Pipeline:
        changelog = reading.changelog
        checkpoint = changelog.checkpoint
        accepted = checkpoint.ground.accepted if checkpoint is not None else {}
        topics = self._topics
        place = Place(partition, topics.partitions, topics.repartition, topics.sources, accepted)
        if checkpoint is not None and checkpoint.partitions != place.partitions:
            raise PartitionsChanged(
                f"{self._topics.changelog} was written with {checkpoint.partitions} partitions and now has "
                f"{place.partitions}: a user's place depends on their number"
            )
        profiles = Profiles(reading.store, self._cache_rows, self._cache_rows // 2)
        limits = replace(self._limits, changelog_bytes=self._topics.changelog_bytes)
        letters = changelog.unsent_letters()
        recovered = Recovered(
            checkpoint, reading.end, self._topics.changelog_id, changelog.used_slots, letters
        )
        pipeline = Pipeline(place, profiles, limits, recovered)
        for unreadable in pipeline.judge.unreadable_notes:
            text = f"a note of refused records in {self._topics.changelog}/{partition} can't be read"
            self.warnings.note("note_unreadable", repr(unreadable), text)
        unsent: list[Pending] = [*changelog.unsent(), *map(from_kept, letters)]
        pending.extend(unsent)
        log.info(
            "partition_restored",
            partition=partition,
            rows=changelog.rows,
            changelog_next=reading.end,
            resent=len(unsent),
        )
        return pipeline

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.changelog, partition)
