"""Watching a worker: its clock's view of the logs, its gauges, and when it must end because it stands."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from faust.types import TP

if TYPE_CHECKING:
    from app.worker import Worker

MEASURE_SECONDS = 1.0


class WorkerStalled(Exception):
    """There is lag and the committed offset stands still: the process ends, so that it is started anew."""


class SourceClock:
    """The evaluator's view of the wall clock and of the ends of the source logs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def caught_up_ms(self, partition: int) -> int | None:
        earliest: int | None = None
        consumer = self._worker.consumer
        for source in self._worker.sources_of(partition):
            seen_ms = consumer.seen_to_end_ms(source)
            if seen_ms is None:
                return None
            earliest = seen_ms if earliest is None else min(earliest, seen_ms)
        return earliest


async def measure(worker: Worker) -> None:
    """Set the gauges, every second."""
    while True:
        dropped = 0
        worker.metrics.forget_partitions()  # others may own them by now
        for partition, lane in worker.evaluator.lanes.items():
            worker.metrics.clock.labels(str(partition)).set(lane.pipeline.clock_ms / 1000)
            for source in worker.sources_of(partition):
                lag = worker.consumer.lag(source)
                if lag is not None:
                    worker.metrics.lag.labels(source.topic, str(source.partition)).set(lag)
        for project in worker.evaluator.rules.projects.values():
            dropped += sum(each.dropped_samples for each in project.conditions.values())
        worker.metrics.samples_dropped.set(dropped)
        worker.metrics.cached_rows.set(
            sum(lane.pipeline.profiles.cached_rows for lane in worker.evaluator.lanes.values())
        )
        worker.metrics.ready.set(not worker.not_ready())
        await asyncio.sleep(MEASURE_SECONDS)


async def watch(worker: Worker) -> None:
    """End the process when for ``worker.stall_seconds`` there is lag and nothing is committed, or when
    for as long neither a rebalance ends nor its restoring goes on.
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
        for partition in worker.evaluator.lanes:
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
