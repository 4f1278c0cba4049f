"""``bench backfill``: an audience published after the fact, beside reading everything again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aiohttp
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.backfill.progress.progress import ProgressOfVersions, VersionState, progress_feed
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audiences import publish_audiences
from agents.registry.feed import Feed
from agents.topics import TopicPlan
from agents.warnings import Warnings
from app.publish.files import load_audiences
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import admin_client, committed, prepare, produce, producer_client
from bench.machine import usage
from bench.processes import BenchFailed
from bench.worker.backfill_runs import BackfillRun, Beside, Computed, FromTheStart
from bench.worker.latency import SWITCH, Latency, Reader, produce_paced, until_read
from bench.worker.ours import BenchWorker, worker_plan
from bench.workload.events import LogSpec, generate
from bench.workload.rules import bench_audiences
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience

LATE = """\
audiences:
  - {id: late_tenth, name: Late tenth, rule: {event: add_to_cart, count: {gte: 3}, within: 30d}}
  - {id: late_all, name: Late all, rule: {event: "*", count: {gte: 20}, within: 30d}}
  - {id: late_beside, name: Late beside, rule: {event: add_to_cart, count: {gte: 2}, within: 30d}}
"""
"""Published when the log is taken: an eighth of the events concern the first, all of them the second."""
POLL_SECONDS = 0.05
STALL_SECONDS = 180.0
SETTLE_SECONDS = 120.0


async def measure(
    broker: BenchBroker,
    folder: Path,
    records: int,
    users: int,
    partitions: int,
    rate: int,
    seconds: float,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
) -> BackfillRun:
    """``rate``, ``seconds``: of the live events beside which a past is computed; rate 0: leave that out."""
    plan = worker_plan(f"bench-{time.time_ns() // 1_000_000}")
    definitions = folder / "switched.json"
    definitions.write_text(SWITCH)
    late = folder / "late.yaml"
    late.write_text(LATE)
    await prepare(broker.bootstrap, plan, partitions, [*bench_audiences(), *load_audiences([definitions])])
    spec = LogSpec.ending_at(time.time_ns() // 1_000_000, records, users, partitions)
    say(f"writing {records:,} events into {partitions} partitions")
    await produce(broker.bootstrap, plan.events[0], partitions, generate(spec, plan.events[0]))
    with BenchWorker(broker, plan, partitions, folder / "worker", settings) as worker:
        say("a worker with a new application id takes all of it")
        began = time.monotonic()
        await _until_taken(broker, plan, records, worker)
        took = time.monotonic() - began
        cpu_us = _cpu_seconds(worker) * 1e6 / records
        run = BackfillRun(partitions, FromTheStart(partitions, records, took, cpu_us))
        async with aiohttp.ClientSession() as session, _following(broker, plan) as feed:
            bench = _Bench(broker, plan, partitions, worker, session, feed, folder, say)
            tenth, everything, another = load_audiences([late])
            for audience in (tenth, everything):
                run.computed.append(await bench.compute(audience, records))
            if rate:
                run.beside = await bench.beside(another, rate, seconds)
            metrics = await worker.metrics(session) or {}
            run.cuts = int(metrics.get("turnstile_cut_seconds_count", 0))
            if run.cuts:
                run.cut_p99_ms = _cut_p99_ms(metrics, run.cuts)
                run.cut_mean_ms = metrics["turnstile_cut_seconds_sum"] * 1000 / run.cuts
    return run


async def _until_taken(broker: BenchBroker, plan: TopicPlan, records: int, worker: BenchWorker) -> None:
    moved, done, now_done = time.monotonic(), 0, 0
    async with admin_client(broker.bootstrap) as admin:
        while done < records:
            worker.check()
            await asyncio.sleep(POLL_SECONDS)
            with suppress(GroupCoordinatorNotAvailableError):  # the group is just being made
                now_done = await committed(admin, plan.app_id, plan.events[0])
            if now_done != done:
                done, moved = now_done, time.monotonic()
            elif time.monotonic() - moved > STALL_SECONDS:
                raise BenchFailed(f"the worker stands at {done} of {records}: {worker.tail()}")


@asynccontextmanager
async def _following(broker: BenchBroker, plan: TopicPlan) -> AsyncIterator[Feed[ProgressOfVersions]]:
    feed = progress_feed(partial(new_consumer, Broker(broker.bootstrap)), plan.progress, Warnings())
    task = asyncio.create_task(feed.run())
    try:
        await feed.loaded.wait()
        yield feed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Bench:
    """A worker that has taken the log."""

    def __init__(
        self,
        broker: BenchBroker,
        plan: TopicPlan,
        partitions: int,
        worker: BenchWorker,
        session: aiohttp.ClientSession,
        feed: Feed[ProgressOfVersions],
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._plan = plan
        self._partitions = partitions
        self._worker = worker
        self._session = session
        self._feed = feed
        self._folder = folder
        self._say = say

    async def compute(self, audience: Audience, records: int) -> Computed:
        """Publish an audience, and wait until it is ready."""
        self._say(f"publishing {audience.id}")
        used = usage(self._worker.pid)
        found = Computed(
            audience.id, self._partitions, records, 0, 0, 0, 0, used.rss_bytes if used else 0, 0, 0
        )
        await self._publish(audience)
        began, cpu_seconds = time.monotonic(), _cpu_seconds(self._worker)
        while not found.ready_seconds:
            await asyncio.sleep(POLL_SECONDS)
            state, now = self._state(audience), time.monotonic() - began
            if state.cut and not found.first_cut_seconds:
                found.first_cut_seconds = now
            if state.cut == self._partitions and not found.cut_seconds:
                found.cut_seconds = now
                found.cpu_us = (_cpu_seconds(self._worker) - cpu_seconds) * 1e6 / records
            if state.is_ready:
                found.ready_seconds = now
            used = usage(self._worker.pid)
            found.peak_bytes = max(found.peak_bytes, used.rss_bytes if used else 0)
            found.scratch_bytes = max(found.scratch_bytes, _bytes_in(self._folder / "worker/data/scratch"))
            self._check(state, now)
        found.members = await self._members(audience)
        self._say(f"  {found.rate:,.0f} records/s, {found.cpu_us:.1f} µs of CPU each")
        return found

    async def beside(self, audience: Audience, rate: int, seconds: float) -> Beside:
        """Live events alone, and then while an audience's past is computed."""
        self._say(f"{rate:,} live events/s for {seconds:.0f} s, nothing beside them")
        alone, lag_alone = await self._live(rate, seconds, 0)
        self._say(f"{rate:,} live events/s for {seconds:.0f} s beside the past of {audience.id}")
        began, ready = time.monotonic(), 0.0

        async def computing() -> None:
            nonlocal ready
            await asyncio.sleep(2.0)
            await self._publish(audience)
            while not self._state(audience).is_ready:
                await asyncio.sleep(POLL_SECONDS)
            ready = time.monotonic() - began - 2.0

        task = asyncio.create_task(computing())
        beside, lag_beside = await self._live(rate, seconds, 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return Beside(rate, alone, beside, lag_alone, lag_beside, ready or None)

    async def _live(self, rate: int, seconds: float, run: int) -> tuple[tuple[Latency, ...], int]:
        folder = self._folder / f"live-{run}"
        folder.mkdir()
        warm_up = min(2.0, seconds / 4)
        events = Reader(self._broker, self._plan.events[0], "event", self._partitions, warm_up, folder)
        transitions = Reader(
            self._broker, self._plan.transitions, "transition", self._partitions, warm_up, folder
        )
        with events.child, transitions.child:
            await asyncio.to_thread(events.wait_ready)
            await asyncio.to_thread(transitions.wait_ready)
            sampling = asyncio.create_task(self._most_lag(seconds))
            paced = await produce_paced(
                self._broker, self._plan.events[0], self._partitions, rate, seconds, folder, run
            )
            lag = await sampling
            read = await until_read(transitions, events, paced["switches"], paced["events"], SETTLE_SECONDS)
        paths = ("event produced to transition readable", "event produced to event readable")
        return tuple(
            Latency(path, each["measured"], each["milliseconds"])
            for path, each in zip(paths, read, strict=True)
        ), lag

    async def _most_lag(self, seconds: float) -> int:
        most, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(1.0)
            metrics = await self._worker.metrics(self._session) or {}
            most = max(most, int(metrics.get("turnstile_lag_records", 0)))
        return most

    async def _publish(self, audience: Audience) -> None:
        published = PublishedAudience(audience, 1, False, time.time_ns() // 1_000_000)
        async with producer_client(self._broker.bootstrap) as producer:
            await publish_audiences(producer, self._plan.audiences, [published])

    def _state(self, audience: Audience) -> VersionState:
        return self._feed.registry.state(audience.project, audience.id, 1, self._partitions)

    def _check(self, state: VersionState, seconds: float) -> None:
        self._worker.check()
        if state.state == "failed":
            raise BenchFailed(f"it failed: {state.reason}")
        if seconds > STALL_SECONDS and state.progress == 0:
            raise BenchFailed(f"nothing is computed after {seconds:.0f} s: {self._worker.tail()}")

    async def _members(self, audience: Audience) -> int:
        """The exact size now; the gauge in the metrics is set once a second."""
        url = f"http://127.0.0.1:{self._worker.port}/v1/audiences/{audience.id}/size"
        async with self._session.get(url, params={"project": audience.project}) as answer:
            if answer.status != 200:
                raise BenchFailed(f"the size of {audience.id} is not known: {await answer.text()}")
            return int((await answer.json())["members"])


def _cut_p99_ms(metrics: Mapping[str, float], cuts: int) -> float:
    name = "turnstile_cut_seconds_bucket{le="
    counts = {float(key[len(name) + 1 : -2]): each for key, each in metrics.items() if key.startswith(name)}
    return min(bound for bound, count in counts.items() if count >= 0.99 * cuts) * 1000


def _cpu_seconds(worker: BenchWorker) -> float:
    used = usage(worker.pid)
    return 0.0 if used is None else used.cpu_seconds


def _bytes_in(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found += path.stat().st_size
    return found
