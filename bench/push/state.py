"""Rows of millions of users, in the stores of a worker and of a process of pushes, as a restart finds them.

A real worker makes the rows of some thousand users out of their events and ends in order. Their rows are then
copied in its stores, under other names (``bench.push.filling``). Positions, checkpoints and definitions stay
what the worker wrote, so whoever opens the stores goes on from there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from agents.restore.stores import stores_of
from agents.topics import TopicPlan
from app.publish.files import load_audiences
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare, produce
from bench.processes import BenchFailed, Child
from bench.push.filling import Order
from bench.push.people import DEFINITION, People
from bench.worker.latency import SWITCH
from bench.worker.ours import BenchWorker
from bench.workload.events import LogRecord, LogSpec, Places, generate
from bench.workload.rules import bench_audiences
from rules.time.instants import format_instant

EVENTS: Final = 6
"""Of each sampled user, on average."""
OLDEST_MS, LATEST_MS = 23 * 3_600_000, 7 * 3_600_000
"""Between these ages events happened. So windows up to 6 h are over, those of 24 h end after the run: time
itself does nothing to the copies while it is measured, which would come in bursts of a thousand."""
SAMPLE_SECONDS: Final = 300.0
FILL_SECONDS: Final = 900.0


async def make_state(
    broker: BenchBroker,
    plan: TopicPlan,
    people: People,
    partitions: int,
    folder: Path,
    say: Callable[[str], None],
) -> Path:
    """The data folder of a worker that has ended. Raises BenchFailed."""
    definitions = []
    for name, text in (("switched", SWITCH), ("subscribers", DEFINITION)):
        definitions.append(folder / f"{name}.json")
        definitions[-1].write_text(text)
    await prepare(broker.bootstrap, plan, partitions, [*bench_audiences(), *load_audiences(definitions)])
    began = time.monotonic()
    log = _log(people, partitions, plan.events[0])
    records = await produce(broker.bootstrap, plan.events[0], partitions, log)
    with BenchWorker(broker, plan, partitions, folder / "worker") as worker:
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
            await _applied(worker, session, records)
    data = folder / "worker" / "data"
    say(f"{people.sampled:,} users' rows made by a worker in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    await asyncio.to_thread(_fill, people, partitions, stores_of(data, plan.changelog), folder)
    size = sum(each.stat().st_size for each in data.rglob("*") if each.is_file())
    say(f"copied to {people.rows:,} in {time.monotonic() - began:.0f} s: {size / 1e6:,.0f} MB of stores")
    return data


async def _applied(worker: BenchWorker, session: aiohttp.ClientSession, records: int) -> None:
    """Wait until a worker has taken so many. Raises BenchFailed."""
    deadline = time.monotonic() + SAMPLE_SECONDS
    while (await worker.metrics(session) or {}).get("turnstile_records_total", 0.0) < records:
        if time.monotonic() > deadline:
            raise BenchFailed(f"the worker doesn't take {records:,} records: {worker.tail()}")
        await asyncio.sleep(0.1)


def copy_stores(data: Path, changelog: str, to: Path) -> None:
    """The same stores for another process. Files with rows never change, so they are shared."""
    for path in stores_of(data, changelog).values():
        shutil.copytree(path, to / path.name, copy_function=_share)


def _share(source: str, target: str) -> None:
    if source.endswith(".sst"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _fill(people: People, partitions: int, stores: dict[int, Path], folder: Path) -> None:
    """A process for each core."""
    if sorted(stores) != list(range(partitions)):
        raise BenchFailed(f"the worker left the stores of partitions {sorted(stores)}")
    cores = len(os.sched_getaffinity(0))
    children = []
    try:
        for core in range(min(cores, partitions)):
            own = {each: str(path) for each, path in stores.items() if each % cores == core}
            order = folder / f"filling-{core}.json"
            order.write_bytes(msgspec.json.encode(Order(people.rows, people.members, partitions, own)))
            children.append(Child("bench.push.filling", [str(order)], folder / f"filling-{core}.log"))
        for child in children:
            child.wait(FILL_SECONDS)
    finally:
        for child in children:
            child.stop()


def _log(people: People, partitions: int, topic: str) -> Iterator[LogRecord]:
    """A profile of each sampled user, then events as in the log of the other benchmarks."""
    now_ms = time.time_ns() // 1_000_000
    begin_ms, events = now_ms - OLDEST_MS, EVENTS * people.sampled
    places, at = Places(partitions), format_instant(begin_ms)
    for number in range(people.sampled):
        key, partition = places.of(number)
        yield LogRecord(0, begin_ms, key, people.profile(number, at).encode(), partition, topic)
    step_ms = (OLDEST_MS - LATEST_MS) // events
    yield from generate(LogSpec(begin_ms, events, people.sampled, partitions, step_ms=step_ms), topic)
