"""``bench throughput``: plain consuming, stock Faust, Turnstile and its peers over one log on one broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp

from agents.evaluate.jobs import cores
from agents.evaluate.native.core import CoreMissing, native_core
from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic, prepare, produce, read_all
from bench.kafka.jars import KafkaUnavailable
from bench.options import engine_settings
from bench.peers.twin import Twin, TwinSettings, class_path
from bench.processes import BenchFailed, Child, read_result
from bench.worker.checked import checked
from bench.worker.metered import Measured, Meter, Watched
from bench.worker.ours import BenchWorker
from bench.workload.events import LogSpec, generate
from bench.workload.expected import Expected, expect
from bench.workload.rules import bench_audiences

KINDS = ("ceiling", "stock", "ours", "per_core")
ENGINES = ("native", "python")
TWINS = {
    "twin": TwinSettings(),
    "twin_at_least_once": TwinSettings("at_least_once"),
}
PEERS = (*ENGINES, "twin")
"""What ``--peers`` runs: the worker with each engine beside the Kafka Streams twin."""
ALL_KINDS = (*KINDS, *ENGINES, *TWINS)
TWIN_SETTLE_SECONDS = 3.5


def chosen_kinds(only: str | None, peers: bool, say: Callable[[str], None]) -> list[str]:
    """In their own order. Raises BenchFailed for a kind that there isn't.

    Of the peers, the native engine is left out where it isn't built, unless it was asked for.
    """
    if only is not None:
        asked = only.split(",")
        if unknown := sorted(set(asked) - set(ALL_KINDS)):
            raise BenchFailed(f"no such kind: {', '.join(unknown)}; there are {', '.join(ALL_KINDS)}")
        return [kind for kind in ALL_KINDS if kind in asked]
    if not peers:
        return list(KINDS)
    try:
        native_core()
    except CoreMissing as missing:
        say(f"without the native engine: {missing}")
        return [kind for kind in PEERS if kind != "native"]
    return list(PEERS)


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
        self._meter = Meter(broker)

    async def prepare(self, kinds: Sequence[str]) -> None:
        """Compute what must come out, and write the log."""
        if set(kinds) & set(TWINS):
            self._say("fetching and compiling the Kafka Streams twin, where that isn't done")
            try:
                await asyncio.to_thread(class_path)
            except KafkaUnavailable as missing:
                raise BenchFailed(f"the Kafka Streams twin can't run here: {missing}") from None
        wanted = [self.spec] if set(kinds) - {"stock"} else []
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
        name = f"{self._name}-{kind}-{self._runs}"
        match kind:
            case "ceiling":
                return await self._ceiling(name)
            case "stock":
                return await self._stock(name)
            case "ours":
                return await self._workers(kind, name, 1)
            case "per_core":
                # As the project is meant to be run: a worker process for each core, here beside the broker.
                return await self._workers(kind, name, min(cores(), self.spec.partitions))
            case "native" | "python":
                return await self._workers(kind, name, 1, engine_settings(kind))
            case _:
                return await self._twin(kind, name, TWINS[kind])

    def _topic(self, spec: LogSpec) -> str:
        return f"{self._name}.events.{spec.events}"

    # -- the kinds -----------------------------------------------------------------------------------

    async def _ceiling(self, name: str) -> Measured:
        result = self._folder / f"{name}.json"
        arguments = [self.broker.bootstrap, self._topic(self.spec), str(self.spec.partitions), str(result)]
        before = self._meter.broker_usage()
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
            broker_cpu_us=self._meter.broker_us(before, found["records"]),
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
            measured = await self._meter.watch(self._watched("stock", name, spec), [child], progress)
        must = self.expected[spec.events].by_records
        found = 0
        async for _ in read_all(self.broker.bootstrap, transitions, spec.partitions):
            found += 1
        if found != must:
            raise BenchFailed(f"stock Faust: {found} transitions, the rules give {must}")
        return replace(measured, transitions=found)

    async def _workers(
        self, kind: str, name: str, count: int, more: Mapping[str, str] | None = None
    ) -> Measured:
        spec = self.spec
        plan = TopicPlan(name, name, [self._topic(spec)])
        settings = {**(self._settings or {}), **(more or {})}
        await prepare(self.broker.bootstrap, plan, spec.partitions, self._audiences)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            workers = [
                stack.enter_context(
                    BenchWorker(self.broker, plan, spec.partitions, self._folder / f"{name}-{each}", settings)
                )
                for each in range(count)
            ]

            async def progress() -> list[int]:
                found = [await worker.metrics(session) or {} for worker in workers]
                return [int(each.get("turnstile_records_total", 0)) for each in found]

            measured = await self._meter.watch(self._watched(kind, name, spec), workers, progress)
            if kind in ENGINES:
                computes, why = await workers[0].engine(session)
                if computes != kind:
                    raise BenchFailed(f"the {kind} engine was to compute, it was the other one: {why}")
        return await self._checked(measured, plan.transitions)

    async def _twin(self, kind: str, name: str, settings: TwinSettings) -> Measured:
        spec, transitions = self.spec, f"{name}.transitions"
        await make_topic(self.broker.bootstrap, transitions, spec.partitions)
        folder = self._folder / name
        twin = Twin(self.broker.bootstrap, self._topic(spec), transitions, name, folder, settings)

        async def progress() -> list[int]:
            return [twin.records()]

        with twin:
            measured = await self._meter.watch(self._watched(kind, name, spec), [twin], progress)
            # Timers that are due at the log's end fire within a second after the last record.
            await asyncio.sleep(TWIN_SETTLE_SECONDS)
        return await self._checked(measured, transitions)

    def _watched(self, kind: str, group: str, spec: LogSpec) -> Watched:
        return Watched(kind, group, self._topic(spec), spec.events)

    async def _checked(self, measured: Measured, topic: str) -> Measured:
        expected = self.expected[self.spec.events]
        return await checked(measured, self.broker.bootstrap, topic, self.spec, expected)
