"""``bench throughput``: plain consuming, stock Faust and Turnstile over the same log on the same broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import msgspec

from agents.restore.ahead import cores
from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import admin_client, committed, make_topic, prepare, produce, read_all
from bench.machine import Usage, usage
from bench.processes import BenchFailed, Child, read_result
from bench.worker.ours import BenchWorker
from bench.workload.events import LogSpec, generate
from bench.workload.expected import Expected, expect
from bench.workload.rules import bench_audiences

POLL_SECONDS = 0.05
STALL_SECONDS = 120.0
KINDS = ("ceiling", "stock", "ours", "per_core")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one kind. CPU times are microseconds an event, of all its processes."""

    kind: str
    events: int
    seconds: float
    rate: float
    cpu_us: float
    broker_cpu_us: float | None
    peak_rss_bytes: int
    transitions: int | None = None
    repeated_transitions: int = 0


class TransitionId(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(TransitionId).decode


class Throughput:
    """One log on one broker, and the runs over it. ``stock_events``: how much of it stock Faust gets."""

    def __init__(
        self,
        broker: BenchBroker,
        spec: LogSpec,
        stock_events: int,
        folder: Path,
        say: Callable[[str], None],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.broker = broker
        self.spec = spec
        self.stock_spec = replace(spec, events=min(stock_events, spec.events))
        self.expected: dict[int, Expected] = {}
        self._folder = folder
        self._say = say
        self._settings = settings
        self._name = f"bench-{time.time_ns() // 1_000_000}"
        self._audiences = bench_audiences()
        self._runs = 0

    async def prepare(self, kinds: Sequence[str]) -> None:
        """Compute what must come out, and write the log."""
        wanted = [self.spec] if {"ceiling", "ours", "per_core"} & set(kinds) else []
        if "stock" in kinds and self.stock_spec not in wanted:
            wanted.append(self.stock_spec)
        for spec in wanted:
            self._say(f"computing what {spec.events:,} events must give (the pure pipeline, untimed)")
            found = self.expected[spec.events] = await asyncio.to_thread(expect, spec, self._audiences)
            self._say(
                f"  {found.evaluations_per_event:.2f} condition evaluations and "
                f"{found.by_then / max(1, spec.events):.2f} transitions an event"
            )
            topic = self._topic(spec)
            self._say(f"writing them to {topic}")
            await make_topic(self.broker.bootstrap, topic, spec.partitions)
            await produce(self.broker.bootstrap, topic, spec.partitions, generate(spec, topic))

    async def run(self, kind: str) -> Measured:
        """One run, checked. Raises BenchFailed when what came out is not what must come out."""
        self._runs += 1
        runs: dict[str, Callable[[str], Awaitable[Measured]]] = {
            "ceiling": self._ceiling,
            "stock": self._stock,
            "ours": self._ours,
            "per_core": self._per_core,
        }
        return await runs[kind](f"{self._name}-{kind}-{self._runs}")

    def _topic(self, spec: LogSpec) -> str:
        return f"{self._name}.events.{spec.events}"

    # -- the kinds -----------------------------------------------------------------------------------

    async def _ceiling(self, name: str) -> Measured:
        result = self._folder / f"{name}.json"
        arguments = [self.broker.bootstrap, self._topic(self.spec), str(self.spec.partitions), str(result)]
        before = self._broker_usage()
        with Child("bench.worker.ceiling", arguments, self._folder / f"{name}.log") as child:
            await asyncio.to_thread(child.wait, 600.0)
        found = read_result(result)
        if found["records"] != self.spec.events:
            raise BenchFailed(f"ceiling: {found['records']} records of {self.spec.events}")
        return Measured(
            kind="ceiling",
            events=found["records"],
            seconds=found["seconds"],
            rate=found["counted"] / found["seconds"],
            cpu_us=found["cpu_seconds"] * 1e6 / found["counted"],
            broker_cpu_us=self._broker_us(before, found["records"]),
            peak_rss_bytes=found["peak_rss_bytes"],
        )

    async def _stock(self, name: str) -> Measured:
        spec, first = self.stock_spec, self._folder / f"{name}.json"
        transitions = f"{name}.transitions"
        await make_topic(self.broker.bootstrap, transitions, spec.partitions)
        folder = self._folder / name
        folder.mkdir()
        arguments = ["evaluate", self.broker.bootstrap, name, str(spec.partitions), str(folder), str(first)]
        arguments += [self._topic(spec), transitions]

        async def progress() -> list[int]:
            return [int(read_result(first)["records"]) if first.exists() else 0]

        with Child("bench.worker.stock_faust", arguments, folder / "stock.log") as child:
            measured = await self._watch("stock", [child], name, spec, progress)
        must = self.expected[spec.events].by_records
        found = 0
        async for _ in read_all(self.broker.bootstrap, transitions, spec.partitions):
            found += 1
        if found != must:
            raise BenchFailed(f"stock Faust: {found} transitions, the rules give {must}")
        return replace(measured, transitions=found)

    async def _ours(self, name: str) -> Measured:
        return await self._workers("ours", name, 1)

    async def _per_core(self, name: str) -> Measured:
        """As the project is meant to be run: a worker process per core, here beside the broker."""
        return await self._workers("per_core", name, min(cores(), self.spec.partitions))

    async def _workers(self, kind: str, name: str, count: int) -> Measured:
        spec = self.spec
        plan = TopicPlan(name, name, [self._topic(spec)])
        await prepare(self.broker.bootstrap, plan, spec.partitions, self._audiences)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            workers = [
                stack.enter_context(
                    BenchWorker(
                        self.broker, plan, spec.partitions, self._folder / f"{name}-{each}", self._settings
                    )
                )
                for each in range(count)
            ]

            async def progress() -> list[int]:
                found = [await worker.metrics(session) or {} for worker in workers]
                return [int(each.get("turnstile_records_total", 0)) for each in found]

            measured = await self._watch(kind, workers, name, spec, progress)
        return await self._checked(measured, plan.transitions)

    # -- measuring -----------------------------------------------------------------------------------

    async def _watch(
        self,
        kind: str,
        children: Sequence[Child],
        group: str,
        spec: LogSpec,
        progress: Callable[[], Awaitable[list[int]]],
    ) -> Measured:
        """From the first look at which each child had applied records until the last offset is committed."""
        applied = [0]
        while not all(applied) and sum(applied) < spec.events:
            for child in children:
                child.check()
            await asyncio.sleep(POLL_SECONDS / 5)
            applied = await progress()
        seen = sum(applied)
        began, first = time.monotonic(), self._usages(children)
        broker_before = self._broker_usage()
        moved, done = began, 0
        async with admin_client(self.broker.bootstrap) as admin:
            while done < spec.events:
                for child in children:
                    child.check()
                await asyncio.sleep(POLL_SECONDS)
                now_done = await committed(admin, group, self._topic(spec))
                if now_done != done:
                    done, moved = now_done, time.monotonic()
                elif time.monotonic() - moved > STALL_SECONDS:
                    tails = "\n".join(child.tail() for child in children)
                    raise BenchFailed(f"{kind} stands at {done} of {spec.events}: {tails}")
        ended, last = time.monotonic(), self._usages(children)
        counted = spec.events - seen
        if counted <= 0:
            raise BenchFailed(
                f"{spec.events} events are too few: all were applied when the measuring was to begin"
            )
        return Measured(
            kind=kind,
            events=spec.events,
            seconds=ended - began,
            rate=counted / (ended - began),
            cpu_us=(last.cpu_seconds - first.cpu_seconds) * 1e6 / counted,
            broker_cpu_us=self._broker_us(broker_before, counted),
            peak_rss_bytes=last.peak_bytes,
        )

    async def _checked(self, measured: Measured, topic: str) -> Measured:
        """Hold the transitions against the pure pipeline's: each id once or more, and no other."""
        expected = self.expected[self.spec.events]
        ids: set[str] = set()
        total = 0
        async for record in read_all(self.broker.bootstrap, topic, self.spec.partitions):
            if record.timestamp <= expected.ends_ms[record.partition]:  # type: ignore[attr-defined]
                total += 1
                ids.add(_decode_id(record.value).id)  # type: ignore[attr-defined]
        digest = 0
        for each in ids:
            digest ^= int(each, 16)
        if (len(ids), digest) != (expected.by_then, expected.digest):
            raise BenchFailed(
                f"{len(ids)} transitions, the pure pipeline gives {expected.by_then}"
                + ("" if len(ids) != expected.by_then else ", and not the same ones")
            )
        return replace(measured, transitions=len(ids), repeated_transitions=total - len(ids))

    def _usages(self, children: Sequence[Child]) -> Usage:
        """Of all of them together."""
        sums = Usage(0.0, 0, 0)
        for child in children:
            found = usage(child.pid)
            if found is None:
                child.check()
                raise BenchFailed(f"{child.module} is gone")
            sums = Usage(
                sums.cpu_seconds + found.cpu_seconds,
                sums.rss_bytes + found.rss_bytes,
                sums.peak_bytes + found.peak_bytes,
            )
        return sums

    def _broker_usage(self) -> Usage | None:
        return None if self.broker.pid is None else usage(self.broker.pid)

    def _broker_us(self, before: Usage | None, events: int) -> float | None:
        after = self._broker_usage()
        if before is None or after is None:
            return None
        return (after.cpu_seconds - before.cpu_seconds) * 1e6 / events
