"""Recovery: a partition's rows, timer index and outboxes from its changelog, in batches.

The store remembers the changelog offset up to which it is complete; what comes after is read with a
consumer of our own, many records at a time (Faust's recovery goes record by record). Transitions that are
not known to be in Kafka (``tables.changelog``) are sent again (``agents.restore.resend``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer

from agents.evaluate.jobs import cores
from agents.evaluate.native.engine import Engine
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from agents.registry.erasures import receipt_of
from agents.restore.ahead import RECORDS, Job, restore_ahead, shares
from agents.restore.lost import PartitionsChanged
from agents.restore.opening import ChangelogStores
from agents.restore.reading import Reading
from agents.restore.resend import Pending, from_kept
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from tables.erased import pseudonym
from tables.store import RocksMemory, Write
from tables.store_faults import StoreBroken, StoreUnusable

log = structlog.get_logger("turnstile.restore")


class Restorer(ChangelogStores):
    """Opens partitions: store first, then the rest of the changelog. ``ahead`` is what other processes may do
    before (``agents.restore.ahead``); without it all is read here. ``engine`` None: Python."""

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
        engine: Engine | None = None,
    ) -> None:
        super().__init__(new_consumer, directory, memory, topics, warnings)
        self._limits = limits
        self._cache_rows = cache_rows
        self._ahead = ahead
        self._engine = engine or Engine()
        self.rows_restored = 0

    async def open(self, partitions: set[int]) -> tuple[dict[int, Pipeline], list[Pending]]:
        """Pipelines that are up to date, and the outputs that must be sent before anything else.

        Raises PartitionsChanged, ChangelogLost. If cancelled, the stores are closed and whole.
        """
        if not partitions:
            return {}, []  # and no consumer: aiokafka's stop raises CancelledError when it comes at once
        readings: dict[int, Reading] = {}
        try:
            async with self._new_consumer() as consumer:
                await self.open_stores(consumer, partitions, readings)
                await self.check_changelog(readings)
                if await self._restored_ahead(readings):
                    await self.open_stores(consumer, partitions, readings)
                for partition, reading in readings.items():
                    await self.index(partition, reading)
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

    async def _read(self, consumer: AIOKafkaConsumer, readings: dict[int, Reading]) -> None:
        behind = {partition for partition, each in readings.items() if each.changelog.position < each.end}
        consumer.pause(*(self.tp(partition) for partition in readings if partition not in behind))
        while behind:
            polled = await consumer.getmany(timeout_ms=200, max_records=20_000)
            for tp, records in polled.items():
                reading = readings[tp.partition]
                self.rows_restored += reading.take(records, self.warnings)
                await asyncio.sleep(0)
            for partition in list(behind):
                reading = readings[partition]
                # The position passes records that compaction took, and markers of transactions.
                reading.changelog.position = await consumer.position(self.tp(partition))
                if reading.changelog.position >= reading.end:
                    behind.discard(partition)
                    consumer.pause(self.tp(partition))
                    reading.store.write(Write(meta=reading.changelog.meta))

    def _pipeline(self, partition: int, reading: Reading, pending: list[Pending]) -> Pipeline:
        changelog = reading.changelog
        checkpoint = changelog.checkpoint
        accepted = checkpoint.ground.accepted if checkpoint is not None else {}
        topics = self.topics
        place = Place(partition, topics.partitions, topics.repartition, topics.sources, accepted)
        if checkpoint is not None and checkpoint.partitions != place.partitions:
            raise PartitionsChanged(
                f"{self.topics.changelog} was written with {checkpoint.partitions} partitions and now has "
                f"{place.partitions}: a user's place depends on their number"
            )
        limits = replace(self._limits, changelog_bytes=self.topics.changelog_bytes)
        letters = changelog.unsent_letters()
        recovered = Recovered(
            checkpoint, reading.end, self.topics.changelog_id, changelog.used_slots, letters
        )
        rows = self._cache_rows
        pipeline = self._engine.pipeline(place, reading.store, limits, rows, rows // 2, recovered)
        for unreadable in pipeline.judge.unreadable_notes:
            text = f"a note of refused records in {self.topics.changelog}/{partition} can't be read"
            self.warnings.note("note_unreadable", repr(unreadable), text)
        unsent: list[Pending] = [
            *changelog.unsent(),
            *changelog.unsent_claims(),
            *map(from_kept, letters),
        ]
        unburied = [(key, pipeline.erased.of(key)) for key in pipeline.erased.unburied]
        unsent += [receipt_of(pseudonym(key), each, partition) for key, each in unburied if each is not None]
        pending.extend(unsent)
        log.info(
            "partition_restored",
            partition=partition,
            rows=changelog.rows,
            changelog_next=reading.end,
            resent=len(unsent),
        )
        return pipeline
