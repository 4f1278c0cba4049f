"""``bench recovery``: rows a second from the changelog to a ready worker, beside stock Faust."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import TopicPartition

from agents.evaluate.commits import Committer, Work
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.kafka.placement import Place
from agents.topics import TopicPlan
from agents.topics.written import WrittenTopics
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic, prepare, produce, producer_client, read_all
from bench.machine import usage
from bench.processes import BenchFailed, Child, read_result
from bench.worker.ours import BenchWorker, worker_plan
from bench.worker.stock_faust import changelog_of
from bench.workload.events import NAMES, LogRecord, Places
from bench.workload.rules import bench_audiences, compiled
from rules.time.instants import format_instant
from tables.changelog.format import is_row
from tables.profiles import Profiles
from tables.store import StoreBroken, Timer, Write

EVENTS_PER_USER = 3
USERS_PER_STEP = 500
AGE_MS = 60_000
"""Rows are so old: nothing of them runs out while it is measured."""


@dataclass(frozen=True, slots=True)
class Restored:
    """``seconds`` is what the rate is of: for workers, the whole time from the start of the process."""

    what: str
    rows: int
    seconds: float
    peak_rss_bytes: int | None = None

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(slots=True)
class NoStore:
    """For users that come once: nothing is found, nothing is kept."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [None] * len(keys)

    get_many_aside = get_many

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return []

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        return []

    def members(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        return []

    def sizes(self) -> dict[int, int]:
        return {}

    def clear_members(self) -> None:
        pass

    def meta(self) -> bytes | None:
        return None

    def notes(self) -> list[tuple[bytes, bytes]]:
        return []

    def write(self, change: Write) -> None:
        pass

    @property
    def is_unclean(self) -> bool:
        return False

    def clean(self) -> bool:
        return True

    def broken(self, text: str) -> StoreBroken:
        return StoreBroken(text)

    def close(self) -> None:
        pass


class _Nobody:
    def step_done(self, partition: int, step: Step, seconds: float) -> None:
        pass


def topics_of(plan: TopicPlan, partitions: int) -> WrittenTopics:
    return WrittenTopics(plan.changelog, plan.transitions, plan.repartition, partitions, partitions)


async def fill(bootstrap: str, plan: TopicPlan, rows: int, partitions: int) -> int:
    """Write what a worker leaves behind that took every user's events and ended in order.

    The events, the changelog (by the worker's own pipeline and committer) and the group's offsets.
    Returns the bytes of the rows.
    """
    topic = plan.events[0]
    at_ms = time.time_ns() // 1_000_000 - AGE_MS
    await produce(bootstrap, topic, partitions, _events(rows, partitions, topic, at_ms))
    rules = compiled(bench_audiences())
    pipelines = [
        Pipeline(Place(each, partitions, plan.repartition), Profiles(NoStore(), 2 * USERS_PER_STEP), Limits())
        for each in range(partitions)
    ]
    for pipeline in pipelines:
        pipeline.define(rules)
        while pipeline.sweeping:
            pipeline.sweep(1)
    waiting: list[list[LogRecord]] = [[] for _ in range(partitions)]
    size = 0
    async with producer_client(bootstrap) as producer:
        committer = Committer(producer, topics_of(plan, partitions), _Nobody())

        async def take(partition: int) -> int:
            pipeline = pipelines[partition]
            step = pipeline.apply(waiting[partition])
            waiting[partition] = []
            await committer.commit([Work(pipeline, [step])])
            return sum(len(value) for _, value in step.staged.rows)

        for record in _events(rows, partitions, topic, at_ms):
            waiting[record.partition].append(record)
            if len(waiting[record.partition]) == USERS_PER_STEP * EVENTS_PER_USER:
                size += await take(record.partition)
        for partition in range(partitions):
            if waiting[partition]:
                size += await take(partition)
            await committer.checkpoint(pipelines[partition])
    await _commit_all(bootstrap, plan, partitions)
    return size


async def _commit_all(bootstrap: str, plan: TopicPlan, partitions: int) -> None:
    tps = [TopicPartition(plan.events[0], each) for each in range(partitions)]
    async with new_consumer(Broker(bootstrap), plan.app_id) as consumer:
        consumer.assign(tps)
        await consumer.commit(await consumer.end_offsets(tps))


def _events(users: int, partitions: int, topic: str, at_ms: int) -> Iterator[LogRecord]:
    places = Places(partitions)
    offsets = [0] * partitions
    instant = format_instant(at_ms)
    for user in range(users):
        key, partition = places.of(user)
        for number in range(EVENTS_PER_USER):
            name = NAMES[(user + number) % len(NAMES)][0]
            value = (
                f'{{"user_id":"{key.decode()}","event":"{name}","time":"{instant}","id":"{user}-{number}",'
                f'"properties":{{"category":"shoes","price":{user % 400},"channel":"app"}}}}'
            )
            yield LogRecord(offsets[partition], at_ms, key, value.encode(), partition, topic)
            offsets[partition] += 1


async def measure(
    broker: BenchBroker,
    folder: Path,
    rows: int,
    stock_rows: int,
    partitions: int,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
) -> list[Restored]:
    """Raises BenchFailed when a restore brings another number of rows."""
    name = f"bench-{time.time_ns() // 1_000_000}"
    plan = worker_plan(name)
    await prepare(broker.bootstrap, plan, partitions, bench_audiences())
    say(f"writing a changelog of {rows:,} rows")
    size = await fill(broker.bootstrap, plan, rows, partitions)
    say(f"  {size / rows:.0f} bytes a row")
    found = []
    for processes in ("one", "all"):
        say(f"restoring with agents.restore alone, processes: {processes}")
        found.append(await _restorer(broker, plan, partitions, folder, rows, processes))
    say("starting a worker on an empty disk")
    worker_folder = folder / "worker"
    found.append(
        await _worker(broker, plan, partitions, worker_folder, rows, "turnstile worker, empty disk", settings)
    )
    say("starting it again on that disk")
    found.append(
        await _worker(broker, plan, partitions, worker_folder, 0, "turnstile worker, disk kept", settings)
    )
    shutil.rmtree(worker_folder, ignore_errors=True)
    if stock_rows:
        say(f"restoring {min(stock_rows, rows):,} rows with stock Faust")
        found.append(
            await _stock(broker, plan, f"{name}-stock", partitions, folder, min(stock_rows, rows), rows)
        )
    return found


async def _restorer(
    broker: BenchBroker, plan: TopicPlan, partitions: int, folder: Path, rows: int, processes: str
) -> Restored:
    result = folder / f"restored-{processes}.json"
    arguments = [broker.bootstrap, plan.prefix, str(partitions), str(folder / "restored"), str(result)]
    arguments.append(processes)
    with Child("bench.worker.restoring", arguments, folder / "restored.log") as child:
        await asyncio.to_thread(child.wait, 1800.0)
    shutil.rmtree(folder / "restored", ignore_errors=True)
    found = read_result(result)
    what = "agents.restore, one process" if processes == "one" else "agents.restore, a process a core"
    _check(what, found["rows"], rows)
    return Restored(what, rows, found["seconds"], found["peak_rss_bytes"])


async def _worker(
    broker: BenchBroker,
    plan: TopicPlan,
    partitions: int,
    folder: Path,
    rows: int,
    what: str,
    settings: Mapping[str, str] | None,
) -> Restored:
    async with aiohttp.ClientSession() as session:
        with BenchWorker(broker, plan, partitions, folder, settings) as worker:
            seconds = await worker.ready(session, 1800.0)
            metrics, used = await worker.metrics(session), usage(worker.pid)
    restored = int((metrics or {}).get("turnstile_restored_rows", -1))
    _check(what, restored, rows)
    return Restored(what, rows, seconds, used.peak_bytes if used else None)


async def _every(changelog: AsyncIterator[Any], stride: int) -> AsyncIterator[Any]:
    """Rows from all partitions: stock Faust's recovery waits forever for one that is empty."""
    number = 0
    async for record in changelog:
        if is_row(record.key):
            number += 1
            if number % stride == 0:
                yield record


async def _stock(
    broker: BenchBroker,
    plan: TopicPlan,
    name: str,
    partitions: int,
    folder: Path,
    rows: int,
    rows_there: int,
) -> Restored:
    changelog = changelog_of(name)
    await make_topic(broker.bootstrap, changelog, partitions, {"cleanup.policy": "compact"})
    await make_topic(broker.bootstrap, f"{name}.events", partitions)
    copies = _every(read_all(broker.bootstrap, plan.changelog, partitions), max(1, rows_there // rows))
    picked = [record async for record in copies]
    copied = await produce(broker.bootstrap, changelog, partitions, picked[:rows])
    _check("the copy for stock Faust", copied, rows)
    data, result = folder / name, folder / "stock.json"
    data.mkdir()
    arguments = ["recovery", broker.bootstrap, name, str(partitions), str(data), str(result)]
    with Child("bench.worker.stock_faust", arguments, folder / "stock.log") as child:
        deadline = time.monotonic() + 1800
        while not result.exists():
            child.check()
            if time.monotonic() > deadline:
                raise BenchFailed(f"stock Faust does not come to the end of its recovery: {child.tail()}")
            await asyncio.sleep(0.05)
    return Restored("stock Faust", rows, read_result(result)["seconds"])


def _check(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise BenchFailed(f"{what}: {found} rows, there are {wanted}")
