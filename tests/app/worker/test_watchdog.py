"""The watchdog ends a worker that has lag and does not move, and leaves every other one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.kafka.configured import plan_of
from app.settings.tree import Settings, load_settings
from app.worker import watchdog
from app.worker.watchdog import WorkerStalled, watch

LIMIT = 8
EVENTS = TP("turnstile.events", 0)


class Offsets:
    """What the watchdog reads of a consumer."""

    def __init__(self) -> None:
        self.committed = 0
        self.end = 0
        self._committed_offset = self

    def get(self, source: TP) -> int:
        return self.committed if source == EVENTS else 0

    def lag(self, source: TP) -> int:
        return self.end - self.committed if source == EVENTS else 0


class Watched:
    """A worker without Kafka: what the watchdog looks at, and an end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = self.consumer = Offsets()
        self.evaluator = SimpleNamespace(paused=False, tasks={0: None})
        self.restorer = SimpleNamespace(rows_restored=0)
        self.stopping = asyncio.Event()
        self.crashed: BaseException | None = None

    def sources_of(self, partition: int) -> Sequence[TP]:
        return [TP(topic, partition) for topic in plan_of(self.settings).sources]

    def crash(self, error: BaseException) -> None:
        self.crashed = self.crashed or error
        self.stopping.set()


class Clock:
    """Time that passes while the watchdog waits, and what happens then."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.happens: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.happens()
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watchdog, "time", made)
    monkeypatch.setattr(watchdog, "asyncio", made)
    return made


@pytest.fixture
def worker(tmp_path: Path) -> Any:
    environ = {"TURNSTILE_WORKER__STALL_SECONDS": str(LIMIT), "TURNSTILE_WORKER__DATA_DIR": str(tmp_path)}
    return Watched(load_settings(environ=environ))


async def watched(worker: Any, clock: Clock, seconds: float) -> None:
    ends, watching = clock.now + seconds, asyncio.create_task(watch(worker))
    while clock.now < ends and not worker.stopping.is_set():
        await asyncio.sleep(0)
        assert not watching.done(), watching
    watching.cancel()


async def test_lag_without_progress_ends_the_worker(worker: Any, clock: Clock) -> None:
    worker.log.end = 5
    await watched(worker, clock, LIMIT)
    assert worker.crashed is None
    await watched(worker, clock, 2 * LIMIT)
    assert isinstance(worker.crashed, WorkerStalled)
    assert "turnstile.events/0 has lag and stood at offset 0" in str(worker.crashed)


async def test_progress_or_no_lag_keeps_it(worker: Any, clock: Clock) -> None:
    def work() -> None:
        worker.log.committed += 1

    worker.log.end = 1000
    clock.happens = work
    await watched(worker, clock, 4 * LIMIT)
    clock.happens = lambda: None
    worker.log.end = worker.log.committed
    await watched(worker, clock, 4 * LIMIT)
    assert worker.crashed is None


async def test_a_restore_that_stands_still_ends_the_worker(worker: Any, clock: Clock) -> None:
    worker.evaluator.paused = True

    def restore() -> None:
        worker.restorer.rows_restored += 1

    clock.happens = restore
    await watched(worker, clock, 4 * LIMIT)
    assert worker.crashed is None
    clock.happens = lambda: None
    await watched(worker, clock, 2 * LIMIT)
    assert isinstance(worker.crashed, WorkerStalled)
