"""Watching a worker: its clock's view of the logs, its gauges, and when it must end because it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.evaluate.evaluator import Evaluator
from agents.evaluate.members import sizes_together
from agents.evaluate.native.engine import Engine
from agents.faust.transport import Consumer
from agents.identities.follower import IdentityFollower
from agents.restore.restorer import Restorer
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.settings.tree import Settings
from app.worker.metrics import WorkerMetrics
from app.worker.standbys import Standbys

MEASURE_SECONDS = 1.0
FORGET_SECONDS = 3600.0
OPEN_SECONDS = 5.0
"""After so long an open transaction is a warning. Shorter ones are the way of some producers."""


class WorkerStalled(Exception):
    """There is lag and the committed offset stands still: the process ends, so that it is started again."""


class SourceReader(Protocol):
    """What reads the sources of a worker's partitions."""

    @property
    def consumer(self) -> Consumer: ...

    def sources_of(self, partition: int) -> Sequence[TP]: ...


class Watched(SourceReader, Protocol):
    """What is watched of a worker."""

    settings: Settings
    warnings: Warnings
    metrics: WorkerMetrics
    evaluator: Evaluator
    engine: Engine
    restorer: Restorer
    standbys: Standbys
    identities: IdentityFollower

    def new_consumer(self) -> AIOKafkaConsumer: ...

    def not_ready(self) -> list[str]: ...

    def crash(self, error: BaseException) -> None: ...


class SourceClock:
    """The evaluator's view of the wall clock and of the ends of the source logs."""

    def __init__(self, reader: SourceReader, wall: WallClock) -> None:
        self._reader = reader
        self._wall = wall

    def wall_ms(self) -> int:
        return self._wall.now_ms()

    def latest_ms(self) -> int:
        """The latest timestamp that a record may have now."""
        return self._wall.latest_ms()

    def caught_up_ms(self, partition: int) -> int | None:
        earliest: int | None = None
        consumer = self._reader.consumer
        for source in self._reader.sources_of(partition):
            seen_ms = consumer.seen_to_end_ms(source)
            if seen_ms is None:
                return None
            earliest = seen_ms if earliest is None else min(earliest, seen_ms)
        return earliest


class OpenTransactions:
    """Shows transactions of producers that stay open: nothing after their first record is read."""

    def __init__(self, metrics: WorkerMetrics, warnings: Warnings) -> None:
        self._metrics = metrics
        self._warnings = warnings
        self._held: dict[TP, float] = {}
        """Since when (monotonic) records of a partition are held back."""
        self._told: set[TP] = set()

    def keep(self, sources: Collection[TP]) -> None:
        """What isn't among these belongs to another worker by now."""
        for source in self._held.keys() - sources:
            self.look(source, 0)

    def look(self, source: TP, held_back: int) -> None:
        """Note how many records are held back now."""
        now = time.monotonic()
        place = f"{source.topic}/{source.partition}"
        if held_back:
            since = self._held.setdefault(source, now)
        else:
            if self._held.pop(source, None) is not None:
                self._told.discard(source)
                self._warnings.clear("open_transaction", place)
            return
        self._metrics.open_transaction.labels(source.topic, str(source.partition)).set(now - since)
        if now - since >= OPEN_SECONDS:
            self._warnings.note(
                "open_transaction",
                place,
                f"{held_back} records of {place} are behind a transaction that has been open for "
                f"{now - since:.0f} s: they are not read, and the partition's time stands still, until its "
                "producer commits or aborts, or the broker does (transaction.timeout.ms). "
                "`kafka-transactions.sh find-hanging` finds a transaction that its producer will not end",
                count=int(source not in self._told),
            )
            self._told.add(source)


async def measure(worker: Watched) -> None:
    """Set the gauges, every second."""
    transactions = OpenTransactions(worker.metrics, worker.warnings)
    while True:
        dropped = worker.engine.dropped_samples
        worker.metrics.forget_partitions()  # others may own them by now
        transactions.keep([each for number in worker.evaluator.tasks for each in worker.sources_of(number)])
        for partition, task in worker.evaluator.tasks.items():
            worker.metrics.clock.labels(str(partition)).set(task.pipeline.stream_time_ms / 1000)
            for source in worker.sources_of(partition):
                lag = worker.consumer.lag(source)
                transactions.look(source, worker.consumer.held_back(source))
                if lag is not None:
                    worker.metrics.lag.labels(source.topic, str(source.partition)).set(lag)
        for partition, behind in worker.standbys.kept.items():
            worker.metrics.standby_lag.labels(str(partition)).set(behind)
        rule_sets = {id(each.pipeline.rules): each.pipeline.rules for each in worker.evaluator.tasks.values()}
        for rules_of in rule_sets.values():
            for project in rules_of.projects.values():
                dropped += sum(each.dropped_samples for each in project.conditions.values())
        worker.metrics.samples_dropped.set(dropped)
        tasks, rules = worker.evaluator.tasks.values(), worker.evaluator.rules
        worker.metrics.sizes(sizes_together(rules, [each.pipeline for each in tasks]))
        worker.metrics.cached_rows.set(
            sum(task.pipeline.profiles.cached_rows for task in worker.evaluator.tasks.values())
        )
        worker.metrics.collisions.set(worker.identities.collisions)
        worker.metrics.ready.set(not worker.not_ready())
        await asyncio.sleep(MEASURE_SECONDS)


async def forget_refused(worker: Watched) -> None:
    """Every hour, let go of what was noted of refused records that the source logs don't hold any more."""
    while True:
        sources = {
            TopicPartition(*source): task.pipeline
            for number, task in worker.evaluator.tasks.items()
            for source in worker.sources_of(number)
            if task.pipeline.judge.refuses(*source)
        }
        if sources:
            with suppress(KafkaError):  # the next time, then
                async with worker.new_consumer() as consumer:
                    for tp, begin in (await consumer.beginning_offsets(list(sources))).items():
                        sources[tp].judge.forget(tp.topic, tp.partition, begin)
        await asyncio.sleep(FORGET_SECONDS)


async def watch(worker: Watched) -> None:
    """End the process when there is lag and nothing was committed for ``worker.stall_seconds``, or when a
    rebalance took as long without an end and without a restored row.
    """
    limit = worker.settings.worker.stall_seconds
    moved: dict[TP, tuple[int | None, float]] = {}
    restored: tuple[int, float] | None = None
    while True:
        await asyncio.sleep(min(5.0, limit / 4))
        now = time.monotonic()
        if worker.evaluator.paused:
            moved.clear()
            if restored is None or restored[0] != worker.restorer.rows_restored:
                restored = (worker.restorer.rows_restored, now)
            elif now - restored[1] > limit:
                worker.crash(
                    WorkerStalled(
                        f"no partition was given and no row restored for {limit} s (worker.stall_seconds)"
                    )
                )
            continue
        restored = None
        for partition in worker.evaluator.tasks:
            for source in worker.sources_of(partition):
                committed = worker.consumer._committed_offset.get(source)
                before = moved.get(source)
                if before is None or before[0] != committed or not worker.consumer.lag(source):
                    moved[source] = (committed, now)
                elif now - before[1] > limit:
                    worker.crash(
                        WorkerStalled(
                            f"{source.topic}/{source.partition} has lag and stood at offset "
                            f"{committed} for {limit} s (worker.stall_seconds)"
                        )
                    )
