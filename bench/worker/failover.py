"""``bench failover``: a worker is killed, and lookups of its users go on, wait, or fail.

Every answer is held against what was sent: whoever says less than Kafka had at the answer's own instant is
wrong. How old it is, and how long nobody answers, is what the benchmark shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeAlias, get_args

import aiohttp
from aiokafka import AIOKafkaProducer

from agents.kafka.placement import partition_of
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare, producer_client
from bench.processes import BenchFailed
from bench.worker.ours import BenchReader, BenchWorker, worker_plan
from rules.parse.definitions import load_definitions

Kind: TypeAlias = Literal["workers alone", "workers with standbys", "a reader beside them"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
VIEWED_MS: Final = 5_000
DEFINITIONS: Final = f"""
audiences:
  - {{id: viewers, name: Viewers, rule: {{event: view, within: {VIEWED_MS // 1000}s}}}}
  - {{id: ever, name: Ever, rule: {{event: view}}}}
"""
SESSION_MS: Final = 6_000
"""After so long without a heartbeat the group gives a worker's partitions to others."""
ASKED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``users`` have rows before the kill. ``rate``: events a second; ``per_second``: lookups."""

    users: int
    partitions: int
    rate: int
    per_second: int
    before: float
    """Seconds of events and lookups before the kill."""
    after: float
    """Seconds after it."""


@dataclass(slots=True)
class Failover:
    """What lookups of the dead worker's users met after the kill."""

    kind: Kind
    asked: int = 0
    unavailable: int = 0
    wrong: int = 0
    longest_gap_ms: float = 0.0
    """The longest time without an answer, of all its partitions."""
    oldest_ms: float = 0.0
    """The oldest answer: how far its instant was behind the question."""
    typical_ms: float = 0.0
    """The median of that, before the kill."""
    ages_before: list[float] = field(default_factory=list)


class Sent:
    """The views of each user, as far as Kafka has acknowledged them."""

    def __init__(self, users: int) -> None:
        self.acknowledged: dict[int, list[int]] = {}
        self.users = users

    def wrong(self, user: int, known: list[int], body: Mapping[str, Any]) -> bool:
        """Whether an answer contradicts ``known``, the views that Kafka had when it was asked for."""
        as_of_ms = _ms(body["at"])
        counts_ms = min(as_of_ms, _ms(body.get("records_as_of", body["at"])))
        inside = {each["id"] for each in body["audiences"]}
        before = [each for each in known if each <= counts_ms]
        if before and "ever" not in inside:
            return True
        return bool(before) and max(before) + VIEWED_MS > as_of_ms and "viewers" not in inside


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


async def measure(
    broker: BenchBroker, folder: Path, plan: Plan, kind: Kind, say: Callable[[str], None]
) -> Failover:
    """Raises BenchFailed when a process ends by itself."""
    topics = worker_plan(f"bench-{time.time_ns() // 1_000_000}")
    await prepare(broker.bootstrap, topics, plan.partitions, load_definitions([("bench.yaml", DEFINITIONS)]))
    settings = {
        "TURNSTILE_KAFKA__SESSION_TIMEOUT_MS": str(SESSION_MS),
        "TURNSTILE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
        "TURNSTILE_WORKER__STANDBYS": str(int(kind == "workers with standbys")),
    }
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(BenchWorker(broker, topics, plan.partitions, folder / name, settings))
            for name in ("first", "second")
        ]
        async with aiohttp.ClientSession() as session, producer_client(broker.bootstrap) as producer:
            for worker in workers:
                await worker.ready(session)
            sent = Sent(plan.users)
            say(f"{kind}: {plan.users:,} users get their rows")
            await _fill(producer, topics.events[0], plan, sent)
            asked: BenchWorker = workers[1]
            if kind == "a reader beside them":
                asked = stack.enter_context(
                    BenchReader(broker, topics, plan.partitions, folder / "reader", settings)
                )
                await asked.ready(session)
            owned = await _owned_by(session, workers[0])
            found = Failover(kind)
            going = asyncio.create_task(_go_on(producer, topics.events[0], plan, sent))
            try:
                await _ask(session, asked, plan, sent, owned, found, plan.before, is_dead=False)
                say("the first worker is killed")
                workers[0].process.kill()
                await _ask(session, asked, plan, sent, owned, found, plan.after, is_dead=True)
            finally:
                going.cancel()
                await asyncio.gather(going, return_exceptions=True)
            workers[1].check()
            asked.check()
    ages = sorted(found.ages_before)
    found.typical_ms = ages[len(ages) // 2] if ages else 0.0
    found.ages_before = []
    return found


async def _owned_by(session: aiohttp.ClientSession, worker: BenchWorker) -> frozenset[int]:
    async with session.get(f"http://127.0.0.1:{worker.port}/readyz?verbose") as answer:
        return frozenset((await answer.json())["partitions"])


def _name(user: int) -> str:
    return f"user-{user}"


async def _send(producer: AIOKafkaProducer, topic: str, partitions: int, user: int, stamp_ms: int) -> Any:
    name = _name(user)
    value = f'{{"user_id":"{name}","event":"view"}}'.encode()
    place = partition_of(name, partitions)
    return await producer.send(topic, value, name.encode(), partition=place, timestamp_ms=stamp_ms)


async def _fill(producer: AIOKafkaProducer, topic: str, plan: Plan, sent: Sent) -> None:
    """Give every user a view."""
    for user in range(plan.users):
        stamp_ms = time.time_ns() // 1_000_000
        await _send(producer, topic, plan.partitions, user, stamp_ms)
        sent.acknowledged[user] = [stamp_ms]
    await producer.flush()


async def _go_on(producer: AIOKafkaProducer, topic: str, plan: Plan, sent: Sent) -> None:
    """Views at the plan's rate, until cancelled. Each counts once Kafka has it."""
    random, number, began = Random(5), 0, time.monotonic()
    while True:
        number += 1
        await asyncio.sleep(max(0.0, began + number / plan.rate - time.monotonic()))
        user, stamp_ms = random.randrange(plan.users), time.time_ns() // 1_000_000
        future = await _send(producer, topic, plan.partitions, user, stamp_ms)

        def acknowledged(done: Any, user: int = user, stamp_ms: int = stamp_ms) -> None:
            if not done.cancelled() and done.exception() is None:
                sent.acknowledged[user].append(stamp_ms)

        future.add_done_callback(acknowledged)


async def _ask(
    session: aiohttp.ClientSession,
    asked: BenchWorker,
    plan: Plan,
    sent: Sent,
    owned: frozenset[int],
    found: Failover,
    seconds: float,
    is_dead: bool,
) -> None:
    """Lookups of users of ``owned`` at the plan's rate; each is due at an instant of its own."""
    mine = [each for each in range(plan.users) if partition_of(_name(each), plan.partitions) in owned]
    if not mine:
        raise BenchFailed("the worker to be killed owns no users: give more --users or --partitions")
    random, began = Random(9), time.monotonic()
    answered_at = dict.fromkeys(owned, began)
    asking: set[asyncio.Task[None]] = set()

    async def one(user: int) -> None:
        known, now_ms = list(sent.acknowledged[user]), time.time_ns() / 1_000_000
        url = f"http://127.0.0.1:{asked.port}/v1/users/{_name(user)}/audiences"
        found.asked += is_dead
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=ASKED_SECONDS)) as answer:
                body = await answer.json() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            body = None
        if body is None:
            found.unavailable += is_dead
            return
        place, now = partition_of(_name(user), plan.partitions), time.monotonic()
        if is_dead:
            found.longest_gap_ms = max(found.longest_gap_ms, (now - answered_at[place]) * 1000)
        answered_at[place] = now
        age_ms = now_ms - _ms(body.get("records_as_of", body["at"]))
        if is_dead:
            found.oldest_ms = max(found.oldest_ms, age_ms)
        else:
            found.ages_before.append(age_ms)
        found.wrong += sent.wrong(user, known, body)

    for number in range(round(seconds * plan.per_second)):
        await asyncio.sleep(max(0.0, began + number / plan.per_second - time.monotonic()))
        task = asyncio.create_task(one(random.choice(mine)))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    if is_dead:  # a partition that never answered again
        ended = time.monotonic()
        silent = max(ended - each for each in answered_at.values())
        if silent > 2.0:
            found.longest_gap_ms = max(found.longest_gap_ms, silent * 1000)
