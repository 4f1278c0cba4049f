"""``bench lookup``: what lookups cost and how long they take, on an idle worker, on a busy one, in Redis."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare
from bench.lookup.asker import Order
from bench.lookup.freshness import ages_ms
from bench.lookup.redis import HOW_TO_INSTALL, PROGRAM, Redis, members_by_user
from bench.lookup.wire import Kind
from bench.machine import usage
from bench.processes import BenchFailed, Child, read_result
from bench.worker.latency import produce_paced
from bench.worker.ours import BenchWorker, worker_plan
from bench.worker.reader import PERCENTILES
from bench.workload.rules import bench_audiences

AUDIENCE = "active_today"
"""Its members have timers, so an answer may have to be decided on a copy of the row."""
SLOW_START = 0.5
"""Seconds that the producer may need before its first event."""
CONNECTIONS = 16
BATCH, MANY = 100, 1_000
"""Users in one request."""


@dataclass(frozen=True, slots=True)
class Question:
    """``per_second`` 0: as many as can be."""

    name: str
    users: int
    audiences: int
    per_second: int


@dataclass(frozen=True, slots=True)
class Asked:
    """``beside``: what went on. ``server_cpu``: of one core, all that the asked process did meanwhile."""

    whom: str
    beside: str
    question: str
    measured: int
    requests_per_second: float
    pairs_per_second: float
    milliseconds: dict[str, float]
    server_cpu: float


@dataclass(frozen=True, slots=True)
class LookupRun:
    rate: float
    """Events a second that were really produced."""
    asked: tuple[Asked, ...]
    freshness_ms: dict[str, float]
    """From an event's being produced to a lookup that sees it, while events come."""
    without: str
    """What was left out, and why; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``rate``: events a second; ``per_second``: single lookups; ``seconds``: how long each is measured."""

    rate: int
    per_second: int
    seconds: float
    warm_up: float
    partitions: int


async def measure(
    broker: BenchBroker,
    folder: Path,
    plan: Plan,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
) -> LookupRun:
    """Raises BenchFailed when a lookup is refused, or isn't answered within half a minute."""
    topics = worker_plan(f"bench-{time.time_ns() // 1_000_000}")
    audiences = bench_audiences()
    await prepare(broker.bootstrap, topics, plan.partitions, audiences)
    with BenchWorker(broker, topics, plan.partitions, folder / "worker", settings) as worker:
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
            say(f"events at {plan.rate:,}/s for {plan.warm_up:.0f} s, so that there are rows")
            await produce_paced(broker, topics.events[0], plan.partitions, plan.rate, plan.warm_up, folder)
            await _settled(worker, session)
        names = [AUDIENCE, *(each.id for each in audiences if each.id != AUDIENCE)]
        asking = _Asking(folder, names, plan.seconds, say)
        single = Question("single, paced", 1, 1, plan.per_second)
        most = [
            Question("single, most", 1, 1, 0),
            Question(f"{BATCH} users x 1", BATCH, 1, 0),
            Question(f"{BATCH} users x {len(names)}", BATCH, len(names), 0),
        ]
        many = Question(f"{MANY:,} users x 1", MANY, 1, 2)
        ours = _Asked("worker", "http", worker.port, worker.pid)
        asked = [await asking.ask(ours, "no events", each) for each in (single, *most, many)]
        if shutil.which(PROGRAM) is None:
            say(HOW_TO_INSTALL)
        else:
            members = await members_by_user(broker, topics.transitions, plan.partitions)
            with _redis(folder) as redis:
                await redis.fill(members)
                theirs = _Asked("redis", "redis", redis.port, redis.pid)
                asked += [await asking.ask(theirs, "no events", each) for each in (single, *most, many)]
        busy, rate, fresh = await _busy(broker, topics, plan, folder, asking, ours, (single, many))
    without = "" if shutil.which(PROGRAM) else HOW_TO_INSTALL
    return LookupRun(rate, (*asked, *busy), fresh, without)


async def _busy(
    broker: BenchBroker,
    topics: TopicPlan,
    plan: Plan,
    folder: Path,
    asking: _Asking,
    ours: _Asked,
    questions: Sequence[Question],
) -> tuple[list[Asked], float, dict[str, float]]:
    """The same beside events: what was asked, events a second, how old events are when lookups see them."""
    topic, beside = topics.events[0], f"{plan.rate:,} events/s"
    parts = len(questions) + 1
    length = parts * (plan.seconds + 3.0) + 2 * SLOW_START
    producing = asyncio.create_task(
        produce_paced(broker, topic, plan.partitions, plan.rate, length, folder, 1)
    )
    await asyncio.sleep(SLOW_START)
    asked = [await asking.ask(ours, beside, each) for each in questions]
    asking.say(f"how soon lookups see an event, beside {beside}")
    ages = await ages_ms(broker, topic, plan.partitions, ours.port, plan.seconds, topics.prefix)
    paced = await producing
    fresh = {name: ages[int(share * (len(ages) - 1))] for name, share in PERCENTILES.items()}
    return asked, paced["events"] / paced["seconds"], fresh


@contextmanager
def _redis(folder: Path) -> Iterator[Redis]:
    server = Redis(folder)
    try:
        yield server
    finally:
        server.stop()


async def _settled(worker: BenchWorker, session: aiohttp.ClientSession) -> None:
    """Wait until no more records are applied."""
    before, now = -1.0, 0.0
    while before != now:
        await asyncio.sleep(1.0)
        worker.check()
        before, now = now, (await worker.metrics(session) or {}).get("turnstile_records_total", 0.0)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A process that is asked."""

    name: str
    kind: Kind
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class _Asking:
    """``audiences``: ids; a question about n of them is about the first n."""

    folder: Path
    audiences: Sequence[str]
    seconds: float
    say: Callable[[str], None]

    async def ask(self, whom: _Asked, beside: str, question: Question) -> Asked:
        """Raises BenchFailed."""
        self.say(f"{whom.name}, {beside}: {question.name}")
        order, result = self.folder / "order.json", self.folder / "asked.json"
        named = list(self.audiences[: question.audiences])
        wanted = Order(
            whom.kind, whom.port, question.users, named, question.per_second, self.seconds, CONNECTIONS
        )
        order.write_bytes(msgspec.json.encode(wanted))
        result.unlink(missing_ok=True)
        before, began = usage(whom.pid), time.monotonic()
        with Child("bench.lookup.asker", [str(order), str(result)], self.folder / "asker.log") as child:
            await asyncio.to_thread(child.wait, self.seconds + 60.0)
        after, took = usage(whom.pid), time.monotonic() - began
        if before is None or after is None:
            raise BenchFailed(f"{whom.name} is gone")
        found = read_result(result)
        if found["refused"] or not found["measured"]:
            raise BenchFailed(f"{found['refused']} requests to {whom.name} were refused or not answered")
        per_second = found["measured"] / found["seconds"]
        return Asked(
            whom.name,
            beside,
            question.name,
            found["measured"],
            per_second,
            per_second * question.users * question.audiences,
            found["milliseconds"],
            (after.cpu_seconds - before.cpu_seconds) / took,
        )
