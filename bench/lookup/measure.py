"""``bench lookup``: what lookups cost and how long they take, on a worker or a reader,
idle and busy, and in Redis."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare
from bench.lookup.asking import BATCH, MANY, Asked, Asking, Question, Whom, settled
from bench.lookup.freshness import ages_ms
from bench.lookup.redis import HOW_TO_INSTALL, PROGRAM, Redis, members_by_user
from bench.worker.latency import produce_paced
from bench.worker.ours import BenchReader, BenchWorker, worker_plan
from bench.worker.reader import PERCENTILES
from bench.workload.rules import bench_audiences

AUDIENCE = "active_today"
"""Its members have timers, so an answer may have to be decided on a copy of the row."""
SLOW_START = 0.5
"""Seconds that the producer may need before its first event."""


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
    by_reader: bool = False
    """A reader is asked, beside the worker."""
    with_redis: bool = True


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
    with ExitStack() as stack:
        worker = stack.enter_context(
            BenchWorker(broker, topics, plan.partitions, folder / "worker", settings)
        )
        ours = Whom("worker", "http", worker.port, worker.pid)
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
            say(f"events at {plan.rate:,}/s for {plan.warm_up:.0f} s, so that there are rows")
            await produce_paced(broker, topics.events[0], plan.partitions, plan.rate, plan.warm_up, folder)
            await settled(worker, session)
            if plan.by_reader:
                reader = stack.enter_context(
                    BenchReader(broker, topics, plan.partitions, folder / "reader", settings)
                )
                await reader.ready(session)
                ours = Whom("reader", "http", reader.port, reader.pid)
        names = [AUDIENCE, *(each.id for each in audiences if each.id != AUDIENCE)]
        asking = Asking(folder, names, plan.seconds, say)
        single, many = (
            Question("single, paced", 1, 1, plan.per_second),
            Question(f"{MANY:,} users x 1", MANY, 1, 2),
        )
        most = [
            Question("single, most", 1, 1, 0),
            Question(f"{BATCH} users x 1", BATCH, 1, 0),
            Question(f"{BATCH} users x {len(names)}", BATCH, len(names), 0),
        ]
        everything = (single, *most, many)
        asked = [await asking.ask(ours, "no events", each) for each in everything]
        beside = [(ours, each) for each in (everything if plan.by_reader else (single, many))]
        without = "" if not plan.with_redis or shutil.which(PROGRAM) else HOW_TO_INSTALL
        if without:
            say(without)
        elif plan.with_redis:
            redis = stack.enter_context(_redis(folder))
            await redis.fill(await members_by_user(broker, topics.transitions, plan.partitions))
            theirs = Whom("redis", "redis", redis.port, redis.pid)
            asked += [await asking.ask(theirs, "no events", each) for each in everything]
            beside += [(theirs, each) for each in everything if plan.by_reader]
        busy, rate, fresh = await _busy(broker, topics, plan, folder, asking, ours, beside)
    return LookupRun(rate, (*asked, *busy), fresh, without)


async def _busy(
    broker: BenchBroker,
    topics: TopicPlan,
    plan: Plan,
    folder: Path,
    asking: Asking,
    ours: Whom,
    questions: Sequence[tuple[Whom, Question]],
) -> tuple[list[Asked], float, dict[str, float]]:
    """The same beside events: what was asked, events a second, how old events are when lookups see them."""
    topic, beside = topics.events[0], f"{plan.rate:,} events/s"
    parts = len(questions) + 1
    length = parts * (plan.seconds + 3.0) + 2 * SLOW_START
    producing = asyncio.create_task(
        produce_paced(broker, topic, plan.partitions, plan.rate, length, folder, 1)
    )
    await asyncio.sleep(SLOW_START)
    asked = [await asking.ask(whom, beside, each) for whom, each in questions]
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
