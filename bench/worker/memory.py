"""``bench memory``: what a worker's memory does while millions of users pass through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from app.publish.files import load_audiences
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare, produce
from bench.machine import usage
from bench.processes import BenchFailed
from bench.worker.ours import BenchWorker, worker_plan
from bench.workload.events import CHANNELS, NAMES, LogRecord, Places
from rules.time.instants import format_instant

AUDIENCES = """\
audiences:
  - {id: active, name: Active, rule: {event: "*", within: 24h}}
  - {id: buyer, name: Buyer, rule: {event: purchase, count: {gte: 1}, within: 30d}}
  - {id: spender, name: Spender, rule: {event: purchase, sum: {property: price, gte: 100}, within: 30d}}
"""
CHUNK = 20_000
LEAD = 200_000
"""Events that may be on the topic and not yet applied."""
SAMPLE_SECONDS = 1.0
STALL_SECONDS = 120.0
GROWTH_ALLOWED = 0.05
"""Of the peak, over the last third of the users."""


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float
    users: int
    rss_bytes: int
    cached_rows: int


@dataclass(frozen=True, slots=True)
class MemoryRun:
    users: int
    samples: tuple[Sample, ...]
    peak_bytes: int

    @property
    def last_third(self) -> list[Sample]:
        return [each for each in self.samples if each.users >= self.users * 2 / 3]

    @property
    def bytes_per_user(self) -> float:
        """Slope of the last third: least squares of resident memory over users."""
        part = self.last_third
        if len(part) < 2:
            return 0.0
        mean_users = sum(each.users for each in part) / len(part)
        mean_rss = sum(each.rss_bytes for each in part) / len(part)
        spread = sum((each.users - mean_users) ** 2 for each in part)
        both = sum((each.users - mean_users) * (each.rss_bytes - mean_rss) for each in part)
        return both / spread if spread else 0.0

    @property
    def plateaus(self) -> bool:
        """What the last third's slope adds over that third is little beside the peak."""
        return self.bytes_per_user * self.users / 3 <= GROWTH_ALLOWED * self.peak_bytes


async def measure(
    broker: BenchBroker,
    folder: Path,
    users: int,
    partitions: int,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
) -> MemoryRun:
    """One event of each user, produced no faster than the worker takes them."""
    plan = worker_plan(f"bench-{time.time_ns() // 1_000_000}")
    definitions = folder / "audiences.yaml"
    definitions.write_text(AUDIENCES)
    await prepare(broker.bootstrap, plan, partitions, load_audiences([definitions]))
    with BenchWorker(broker, plan, partitions, folder / "worker", settings) as worker:
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
            watch = _Watch(worker, session, users, say)
            sampling = asyncio.create_task(watch.run())
            feeding = asyncio.create_task(_feed(broker.bootstrap, plan.events[0], users, partitions, watch))
            try:
                await asyncio.wait({sampling, feeding}, return_when=asyncio.FIRST_EXCEPTION)
                await asyncio.gather(sampling, feeding)
            finally:
                sampling.cancel()
                feeding.cancel()
        used = usage(worker.pid)
    if used is None:
        raise BenchFailed(f"the worker is gone: {worker.tail()}")
    return MemoryRun(users, tuple(watch.samples), used.peak_bytes)


class _Watch:
    """Samples the worker until every user has passed."""

    def __init__(
        self, worker: BenchWorker, session: aiohttp.ClientSession, users: int, say: Callable[[str], None]
    ) -> None:
        self._worker = worker
        self._session = session
        self._users = users
        self._say = say
        self.applied = 0
        self.samples: list[Sample] = []

    async def run(self) -> None:
        began = moved = told = time.monotonic()
        while self.applied < self._users:
            await asyncio.sleep(SAMPLE_SECONDS)
            now = time.monotonic()
            metrics = await self._worker.metrics(self._session)
            used = usage(self._worker.pid)
            if metrics is None or used is None:
                continue
            applied = int(metrics.get("turnstile_records_total", 0))
            if applied != self.applied:
                self.applied, moved = applied, now
            elif now - moved > STALL_SECONDS:
                raise BenchFailed(f"the worker stands at {applied} of {self._users}: {self._worker.tail()}")
            self.samples.append(
                Sample(
                    seconds=now - began,
                    users=applied,
                    rss_bytes=used.rss_bytes,
                    cached_rows=int(metrics.get("turnstile_cached_rows", 0)),
                )
            )
            if now - told > 15:
                told = now
                self._say(f"  {applied:,} users, {used.rss_bytes / 2**20:,.0f} MiB")


async def _feed(bootstrap: str, topic: str, users: int, partitions: int, watch: _Watch) -> None:
    places = _ForgetfulPlaces(partitions)
    for first in range(0, users, CHUNK):
        while first - watch.applied > LEAD:
            await asyncio.sleep(0.05)
        last = min(users, first + CHUNK)
        await produce(bootstrap, topic, partitions, _events(places, first, last, topic))


class _ForgetfulPlaces(Places):
    """Users come once: nothing to remember."""

    def of(self, user: int) -> tuple[bytes, int]:
        found = super().of(user)
        self._known.clear()
        return found


def _events(places: Places, first: int, last: int, topic: str) -> Iterator[LogRecord]:
    at_ms = time.time_ns() // 1_000_000
    instant = format_instant(at_ms)
    for user in range(first, last):
        key, partition = places.of(user)
        name = NAMES[user % len(NAMES)][0]
        value = (
            f'{{"type":"track","id":"{user:012d}","user_id":"{key.decode()}","event":"{name}",'
            f'"time":"{instant}","properties":{{"sku":"sku-{user % 5000:05d}","category":"shoes",'
            f'"price":{user % 400},"channel":"{CHANNELS[user % len(CHANNELS)]}"}}}}'
        )
        yield LogRecord(0, at_ms, key, value.encode(), partition, topic)
