"""``bench latency``: from producing an event to reading its transition, at a steady rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agents.topics import TopicPlan
from app.publish.files import load_audiences
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import prepare
from bench.machine import usage
from bench.processes import BenchFailed, Child, read_result
from bench.worker.ours import BenchWorker
from bench.workload.rules import bench_audiences

SWITCH = """\
{"id": "switched", "name": "Switched on", "rule": {"event": "switch", "sum": {"property": "delta", "gte": 1}}}
"""
"""Every ``switch`` event causes one transition at once: each user's go +1, -1, +1 and so on."""
SETTLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds by percentile name. ``path`` says from where to where."""

    path: str
    measured: int
    milliseconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class LatencyRun:
    rate: float
    """Events a second that were really produced."""
    events: int
    switches: int
    late_ticks: int
    """Ticks at which the producer was more than a tick behind its plan."""
    worker_cpu: float
    """Of one core."""
    records_per_step: float
    commit_ms: float
    """Mean time from a computed step to its ack."""
    latencies: tuple[Latency, ...]


async def measure(
    broker: BenchBroker,
    folder: Path,
    rate: int,
    seconds: float,
    warm_up: float,
    partitions: int,
    say: Callable[[str], None],
    settings: Mapping[str, str] | None = None,
) -> LatencyRun:
    """Raises BenchFailed unless every switch event caused exactly its transition."""
    name = f"bench-{time.time_ns() // 1_000_000}"
    plan = TopicPlan(name, name, [f"{name}.events"])
    definition = folder / "switched.json"
    definition.write_text(SWITCH)
    await prepare(broker.bootstrap, plan, partitions, [*bench_audiences(), *load_audiences([definition])])
    with BenchWorker(broker, plan, partitions, folder / "worker", settings) as worker:
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
        events = Reader(broker, plan.events[0], "event", partitions, warm_up, folder)
        transitions = Reader(broker, plan.transitions, "transition", partitions, warm_up, folder)
        with events.child, transitions.child:
            await asyncio.to_thread(events.wait_ready)
            await asyncio.to_thread(transitions.wait_ready)
            say(f"producing {rate:,} events/s for {warm_up:.0f} s of warm-up and {seconds:.0f} s")
            before = usage(worker.pid)
            paced = await produce_paced(broker, plan.events[0], partitions, rate, warm_up + seconds, folder)
            after = usage(worker.pid)
            worker.check()
            async with aiohttp.ClientSession() as session:
                metrics = await worker.metrics(session) or {}
            read = await until_read(transitions, events, paced["switches"], paced["events"])
    if before is None or after is None:
        raise BenchFailed(f"the worker is gone: {worker.tail()}")
    latencies = tuple(
        Latency(path, each["measured"], each["milliseconds"])
        for path, each in (
            ("event produced to transition readable", read[0]),
            ("event produced to event readable", read[1]),
        )
    )
    steps = max(1.0, metrics.get("turnstile_step_commit_seconds_count", 0.0))
    return LatencyRun(
        rate=paced["events"] / paced["seconds"],
        events=paced["events"],
        switches=paced["switches"],
        late_ticks=paced["late_ticks"],
        worker_cpu=(after.cpu_seconds - before.cpu_seconds) / paced["seconds"],
        records_per_step=metrics.get("turnstile_records_total", 0.0) / steps,
        commit_ms=metrics.get("turnstile_step_commit_seconds_sum", 0.0) / steps * 1000,
        latencies=latencies,
    )


class Reader:
    """A process that reads a topic and compares the instants in its records with the clock."""

    def __init__(
        self, broker: BenchBroker, topic: str, kind: str, partitions: int, warm_up: float, folder: Path
    ) -> None:
        self.kind = kind
        self.result = folder / f"{kind}s.json"
        arguments = [broker.bootstrap, topic, kind, str(partitions), str(warm_up), str(self.result)]
        self.child = Child("bench.worker.reader", arguments, folder / f"{kind}s.log")

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self.result.exists():
            self.child.check()
            if time.monotonic() > deadline:
                raise BenchFailed(f"the reader of {self.kind}s does not start: {self.child.tail()}")
            time.sleep(0.05)

    def read(self) -> dict[str, Any]:
        self.child.check()
        return read_result(self.result)


async def produce_paced(
    broker: BenchBroker, topic: str, partitions: int, rate: int, seconds: float, folder: Path, run: int = 0
) -> dict[str, Any]:
    """Events at a steady rate, from a process of its own. ``run``: the number of this run over the topic."""
    result = folder / "paced.json"
    arguments = [broker.bootstrap, topic, str(partitions), str(rate), str(seconds), str(run), str(result)]
    with Child("bench.worker.paced", arguments, folder / "paced.log") as child:
        await asyncio.to_thread(child.wait, seconds + 120.0)
    return read_result(result)


async def until_read(
    transitions: Reader, events: Reader, switches: int, produced: int, settle_seconds: float = SETTLE_SECONDS
) -> Sequence[dict[str, Any]]:
    """The readers write what they have every half second; wait until it is everything."""
    deadline = time.monotonic() + settle_seconds
    while True:
        found = transitions.read(), events.read()
        if found[0]["switches"] >= switches and found[1]["read"] >= produced:
            break
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    if (found[0]["switches"], found[1]["read"]) != (switches, produced):
        raise BenchFailed(
            f"{found[0]['switches']} transitions of {switches} switch events, "
            f"{found[1]['read']} events read of {produced}"
        )
    return found
