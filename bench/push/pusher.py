"""The process of pushes (``turnstile push worker``), what it is told to push, and what became of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import PublishedPush
from agents.pushes.runs import Ledger, Run
from agents.registry.definitions import definition_record
from agents.registry.topic import follow, publish
from agents.topics import TopicPlan
from app.kafka.embedded import free_ports
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import producer_client
from bench.machine import Usage, usage
from bench.processes import BenchFailed
from bench.push.people import AUDIENCE
from bench.worker.ours import BenchWorker

SECRET: Final = "bench"
VARIABLE: Final = "BENCH_PUSH_SECRET"
LOOK_SECONDS: Final = 0.02
RUN_SECONDS: Final = 600.0
CONTENT: Final = (
    "ids: [{type: email, encryption: sha256, column: email}], encryption: false, "
    "attributes: [city, tier, spent]"
)


class PushProcess(BenchWorker):
    """``rows``: the folder of its stores is ``folder / "pushes" / "rows"``."""

    def __init__(
        self, broker: BenchBroker, plan: TopicPlan, partitions: int, folder: Path, secret: str
    ) -> None:
        (port,) = free_ports(1)
        self.lists = folder / "pushes" / "lists"
        declared = [{"name": SECRET, "source": {"env": VARIABLE}, "hosts": ["127.0.0.1"]}]
        own = {
            "TURNSTILE_PUSHES__PORT": str(port),
            "TURNSTILE_PUSHES__PROBE_PORT": "0",
            "TURNSTILE_PUSHES__DATA_DIR": str(folder / "pushes"),
            "TURNSTILE_DELIVER__ALLOW_PRIVATE": "true",
            "TURNSTILE_DELIVER__SECRETS": json.dumps(declared),
            VARIABLE: secret,
        }
        super().__init__(broker, plan, partitions, folder, own, command="push worker")
        self.port = port

    def used(self) -> Usage:
        """Raises BenchFailed when it is gone."""
        found = usage(self.pid)
        if found is None:
            self.check()
            raise BenchFailed("the process of pushes is gone")
        return found


@dataclass(slots=True)
class Stage:
    """What a run was doing from this instant on: wall clock (ms) and CPU time of the process by then."""

    name: str
    at_ms: float
    cpu_seconds: float


@dataclass(slots=True)
class Watched:
    """A run that is over, and its stages: ``snapshot`` (an instant is waited for), ``spooling``, ``spooled``,
    …, ``delivered``."""

    run: Run
    stages: list[Stage] = field(default_factory=list)
    most_rss_bytes: int = 0

    def seconds(self, begin: str, end: str) -> float:
        return (self._of(end).at_ms - self._of(begin).at_ms) / 1000

    def cpu_seconds(self, begin: str, end: str) -> float:
        return self._of(end).cpu_seconds - self._of(begin).cpu_seconds

    def _of(self, name: str) -> Stage:
        return next(each for each in self.stages if each.name == name)


class Pushing:
    """Publishes pushes that run once, and watches the ledger until they are over."""

    def __init__(self, broker: BenchBroker, plan: TopicPlan, process: PushProcess) -> None:
        self._broker = broker
        self._plan = plan
        self._process = process
        self._ledger = Ledger(plan.push_runs)
        self._loaded = asyncio.Event()
        self._stages: dict[tuple[str, str], float] = {}
        """When a run of a push came to a state, by the ledger."""
        self._number = 0

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        def consumer() -> AIOKafkaConsumer:
            return committed_consumer(Broker(self._broker.bootstrap))

        def take(records: Sequence[Any]) -> None:
            for record in records:
                self._ledger.take(record)
                noted = self._ledger.published.get(record.key.decode())
                if isinstance(noted, Run):
                    self._stages.setdefault((noted.push, noted.state), float(record.timestamp))

        task = asyncio.create_task(follow(consumer, self._plan.push_runs, take, self._loaded.set))
        try:
            await self._loaded.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def connect(self, definitions: Mapping[str, str]) -> None:
        """Publish connections: by name, YAML."""
        found = load_connections([(f"{name}.yaml", text) for name, text in definitions.items()])
        records = [definition_record(PublishedConnection(each, 1)) for each in found]
        async with producer_client(self._broker.bootstrap) as producer:
            await publish(producer, self._plan.connections, records)

    async def push(self, connection: str, format: str, target: str) -> Watched:
        """One run of a push of its own. Raises BenchFailed unless it is delivered."""
        self._number += 1
        name = f"{connection}-{self._number}"
        text = (
            f"{{name: {name}, audience: {AUDIENCE}, connection: {connection}, schedule: once, "
            f"content: {{{CONTENT}, format: {format}}}, target: {target}}}"
        )
        (push,) = load_pushes([(f"{name}.yaml", text)])
        now_ms = time.time_ns() // 1_000_000
        async with producer_client(self._broker.bootstrap) as producer:
            record = definition_record(PublishedPush(push, 1, scheduled_ms=now_ms))
            await publish(producer, self._plan.pushes, [record])
        return await self._watched(name)

    async def _watched(self, push: str) -> Watched:
        deadline = time.monotonic() + RUN_SECONDS
        stages: dict[str, Stage] = {}
        most = 0
        while True:
            self._process.check()
            used = self._process.used()
            most = max(most, used.rss_bytes)
            runs = self._ledger.index.of_push(f"default/{push}")
            run = runs[0] if runs else None
            if run is not None:
                self._note(run, stages, used)
                if run.is_done:
                    break
            if time.monotonic() > deadline:
                raise BenchFailed(f"the push isn't over after {RUN_SECONDS:.0f} s: {self._process.tail()}")
            await asyncio.sleep(LOOK_SECONDS)
        if run.state != "delivered":
            raise BenchFailed(f"a push is {run.state}: {run.code} {run.reason}")
        # Lists of runs that are over are removed once a minute, perhaps before this one was looked for.
        stages.setdefault("spooling", replace(stages["snapshot"], name="spooling"))
        return Watched(run, sorted(stages.values(), key=lambda each: each.at_ms), most)

    def _note(self, run: Run, stages: dict[str, Stage], used: Usage) -> None:
        if "spooling" not in stages and run.list_id:
            with suppress(FileNotFoundError):  # it isn't yet
                began_s = (self._process.lists / run.id).stat().st_mtime  # its list's folder was made then
                stages["spooling"] = Stage("spooling", began_s * 1000, used.cpu_seconds)
        for (push, state), at_ms in self._stages.items():
            if push == run.push and state not in stages:
                stages[state] = Stage(state, at_ms, used.cpu_seconds)
