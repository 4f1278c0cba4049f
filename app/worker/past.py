"""The past of a worker's partitions: what computes new versions from the history, wired together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.backfill.history.imports import Run
from agents.backfill.history.reader import history_consumer
from agents.backfill.history.runs import history_runs
from agents.backfill.progress.progress import ProgressOfVersions
from agents.backfill.progress.writer import ProgressWriter
from agents.backfill.replay.scratch import ScratchStores
from agents.backfill.replay.throttle import ScratchDisk, Seen, Throttle
from agents.backfill.upkeep.kept import Telling
from agents.backfill.upkeep.upkeep import Upkeep
from agents.backfill.versions.catalog import Catalog
from agents.evaluate.evaluator import Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Step
from agents.faust.transport import Consumer
from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_admin, new_consumer
from agents.kafka.producer import Producer
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from agents.topics.look import look
from agents.topics.plan import TopicPlan
from agents.warnings import Warnings
from app.settings.tree import Settings
from app.worker.metrics import WorkerMetrics
from tables.store import RocksMemory

LEAST_ROWS, MOST_ROWS = 1_000, 20_000
"""Decoded rows of a shadow: a quarter of the live partition's, from this to that."""
LIVE_SECONDS = 1.0
"""So long after a live record the stream counts as live."""


class Reader(Protocol):
    """The worker, as far as its live stream is concerned."""

    evaluator: Evaluator
    metrics: WorkerMetrics
    warnings: Warnings

    @property
    def consumer(self) -> Consumer: ...

    def sources_of(self, partition: int) -> Sequence[TopicPartition]: ...


class Past:
    """What one worker needs to compute the past; ``upkeep`` does it."""

    def __init__(
        self,
        worker: Reader,
        settings: Settings,
        broker: Broker,
        plan: TopicPlan,
        producer: Producer,
        progress: Feed[ProgressOfVersions],
        partitions: int,
        crash: Callable[[BaseException], None],
    ) -> None:
        self._worker = worker
        self._broker = broker
        self._plan = plan
        self._partitions = partitions
        self._max_samples = settings.state.max_samples
        self._taken = -1
        self._taken_at = 0.0
        folder = Path(settings.worker.data_dir)
        self.scratch = ScratchStores(folder, plan.changelog)
        self._disk = ScratchDisk(self.scratch.directory)
        self.memory = RocksMemory.of(settings.cache.block_bytes // 8, settings.cache.write_buffer_bytes // 4)
        self.cache_rows = min(MOST_ROWS, max(LEAST_ROWS, settings.cache.rows // (4 * partitions)))
        self.throttle = Throttle(settings.backfill.limits, self._seen)
        self.writer = ProgressWriter(producer, progress, worker.warnings)
        self.upkeep = Upkeep(
            self,
            progress.registry,
            Telling(self.writer),
            partitions,
            settings.audiences.max_change,
            settings.dedupe.window_ms,
            crash,
        )

    def turn(self, pipeline: Pipeline) -> list[Step]:
        """As ``Upkeep.turn``; a cut's time is measured, because the partition takes no records meanwhile."""
        begun = time.perf_counter()
        steps = self.upkeep.turn(pipeline)
        if steps:
            self._worker.metrics.cut_seconds.observe(time.perf_counter() - begun)
        return steps

    def define(self, feed: AudiencesFeed) -> None:
        """Definitions changed, or some were released."""
        self.upkeep.define(
            Catalog(
                {key.decode(): dict(each) for key, each in feed.versions.items()},
                {key.decode(): version for key, version in feed.wanted.items()},
                frozenset((key.decode(), version) for key, version in feed.released),
                self._max_samples,
            )
        )

    async def close(self) -> None:
        """The orderly end, after that of the evaluator."""
        await self.upkeep.close()
        await self.writer.flush()

    def new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self._broker)

    def reading_consumer(self) -> AIOKafkaConsumer:
        """One that reads a history."""
        return history_consumer(self._broker)

    async def runs(self, partition: int) -> list[Run]:
        """Of the history topics, for a partition of the table."""
        admin = new_admin(self._broker)
        await admin.start()
        try:
            cluster = await look(admin, [*self._plan.history, self._plan.imports])
        finally:
            await admin.close()
        if cluster.topics.keys().isdisjoint(self._plan.history):
            return []  # and no consumer: one that was asked nothing can't be stopped in order
        async with self.new_consumer() as consumer:
            found: Mapping[int, Sequence[Run]] = await history_runs(
                consumer, lambda: committed_consumer(self._broker), cluster, self._plan, self._partitions
            )
        return list(found.get(partition, ()))

    def _seen(self) -> Seen:
        """What the pace of computations depends on."""
        evaluator = self._worker.evaluator
        tasks = evaluator.tasks.values()
        now = time.monotonic()
        waiting = sum(each.records_waiting for each in tasks)
        taken = sum(sum(each.pipeline.positions.offsets.values()) for each in tasks)
        if taken != self._taken or waiting:
            self._taken, self._taken_at = taken, now
        scratch, free, disk = self._disk.look()
        lags = (
            self._worker.consumer.lag(source)
            for number in evaluator.tasks
            for source in self._worker.sources_of(number)
        )
        return Seen(
            is_rebalancing=evaluator.paused,
            waiting=waiting,
            lag=sum(each or 0 for each in lags),
            is_live=now - self._taken_at < LIVE_SECONDS,
            scratch_bytes=scratch,
            free_bytes=free,
            disk_bytes=disk,
        )
