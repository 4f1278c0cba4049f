"""Event Hub delivery: transitions a second of one deliverer beside a bare loop on the SDK; added latency.

The hub is the stand-in of the tests (``tests/eventhub``), a process of its own, over AMQP on loopback: it
stores at once and in memory, so this measures our side and the SDK's, not Azure's.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    destinations_topic,
    publish_destinations,
)
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_producer
from agents.topics import create_topics
from app.kafka.embedded import free_ports
from bench.delivery.measure import DELIVER_SECONDS, bodies, get_json, wait_until
from bench.kafka.brokers import BenchBroker
from bench.machine import usage
from bench.processes import ROOT, BenchFailed, Child, read_result

PARTITIONS = 4
SECRET = "BENCH_EVENT_HUB"
BATCH = 500


@dataclass(frozen=True, slots=True)
class EventHubRun:
    """From the first to the last commit at the hub. CPU is of the sending process alone."""

    kind: str
    transitions: int
    seconds: float
    cpu_us: float
    repeats: int

    @property
    def rate(self) -> float:
        return self.transitions / self.seconds


@dataclass(frozen=True, slots=True)
class EventHubLatency:
    """Milliseconds from the sending of a transition to Kafka to its commit at the hub, at a steady pace."""

    per_second: int
    measured: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu: float
    """Of one core, the deliverer's at that pace."""


class HubProcess:
    """The stand-in as a process. ``stored`` is complete after ``end``: (hub partition, ms, message id)."""

    def __init__(self, folder: Path, name: str) -> None:
        self._record = folder / f"{name}-hub.tsv"
        self._log = folder / f"{name}-hub.log"
        arguments = ["--partitions", str(PARTITIONS), "--record", str(self._record)]
        self.child = Child("tests.eventhub", arguments, self._log)
        self.stored: list[tuple[int, int, str]] = []

    async def connection_string(self) -> str:
        lines: list[str] = []

        async def printed() -> bool:
            lines[:] = self._log.read_text().splitlines()
            return len(lines) >= 2

        await wait_until(printed, "the event hub stand-in listens", [self.child])
        return lines[1]

    def end(self) -> None:
        self.child.stop()
        for line in self._record.read_text().splitlines():
            partition, at_ms, ident = line.split("\t")
            self.stored.append((int(partition), int(at_ms), ident))

    def seconds(self) -> float:
        instants = [at_ms for _, at_ms, _ in self.stored]
        return max(1, max(instants) - min(instants)) / 1000


def check_stand_in() -> None:
    """Raises BenchFailed where there is no stand-in."""
    if not (ROOT / "tests" / "eventhub").is_dir():
        raise BenchFailed("the event hub stand-in lives with the tests: run this in a checkout")
    if find_spec("proton") is None:
        raise BenchFailed("the event hub stand-in needs python-qpid-proton: make peer")


async def measure_eventhub(
    broker: BenchBroker, folder: Path, count: int, per_second: int, seconds: int, say: Callable[[str], None]
) -> tuple[list[EventHubRun], EventHubLatency]:
    """A bare loop on the SDK, a deliverer with a backlog, a deliverer at a pace. Raises BenchFailed."""
    check_stand_in()
    say(f"plain azure-eventhub: {count:,} transitions, batches of {BATCH}")
    plain = await _plain(folder, count)
    say(f"turnstile deliver: a backlog of {count:,} transitions")
    ours = await _backlog(broker, folder, count)
    say(f"turnstile deliver: {per_second:,} transitions/s for {seconds} s")
    return [plain, ours], await _paced(broker, folder, per_second, seconds)


async def _plain(folder: Path, count: int) -> EventHubRun:
    hub, result = HubProcess(folder, "plain"), folder / "plain-eventhub.json"
    try:
        arguments = [await hub.connection_string(), str(count), str(BATCH), str(result)]
        with Child("bench.delivery.eventhub_plain", arguments, folder / "plain-eventhub.log") as child:
            await asyncio.to_thread(child.wait, DELIVER_SECONDS)
    finally:
        hub.end()
    return _run("plain azure-eventhub", hub, count, read_result(result)["cpu_seconds"])


def _run(kind: str, hub: HubProcess, count: int, cpu_seconds: float) -> EventHubRun:
    different = len({ident for _, _, ident in hub.stored})
    if different != count:
        raise BenchFailed(f"{kind}: {different:,} of {count:,} transitions are in the hub")
    return EventHubRun(kind, count, hub.seconds(), cpu_seconds * 1e6 / count, len(hub.stored) - count)


async def _backlog(broker: BenchBroker, folder: Path, count: int) -> EventHubRun:
    hub = HubProcess(folder, "backlog")
    try:
        async with _stage(broker, folder, hub) as stage:
            # It begins where the topic ended when it first came: then it goes, and a backlog grows.
            async with stage.deliverer():
                pass
            for user, body in bodies(count):
                await stage.producer.send(stage.topic, body, user)
            await stage.producer.flush()
            async with stage.deliverer() as child:
                before = usage(child.pid)
                await stage.delivered(child, count)
                after = usage(child.pid)
    finally:
        hub.end()
    if before is None or after is None:
        raise BenchFailed("the deliverer is gone")
    return _run("turnstile deliver", hub, count, after.cpu_seconds - before.cpu_seconds)


async def _paced(broker: BenchBroker, folder: Path, per_second: int, seconds: int) -> EventHubLatency:
    hub = HubProcess(folder, "paced")
    sent_ms: dict[str, float] = {}
    before, from_s = None, 0.0
    warm_up, count = per_second * 3, per_second * (seconds + 3)
    try:
        async with _stage(broker, folder, hub) as stage, stage.deliverer() as child:
            began = time.monotonic()
            for number, (user, body) in enumerate(bodies(count)):
                early = began + number / per_second - time.monotonic()
                if early > 0:
                    await asyncio.sleep(early)
                if number == warm_up:
                    before, from_s = usage(child.pid), time.monotonic()
                if number >= warm_up:
                    sent_ms[_id_of(body)] = time.time() * 1000
                await stage.producer.send(stage.topic, body, user)
            after, took_s = usage(child.pid), time.monotonic() - from_s
            await stage.delivered(child, count)
    finally:
        hub.end()
    if before is None or after is None:
        raise BenchFailed("the deliverer is gone")
    cpu = (after.cpu_seconds - before.cpu_seconds) / took_s
    added = sorted(at_ms - sent_ms[ident] for ident, at_ms in _first(hub) if ident in sent_ms)
    if len(added) != len(sent_ms):
        raise BenchFailed(f"{len(added):,} of {len(sent_ms):,} transitions are in the hub")
    p50_ms, p99_ms = added[len(added) // 2], added[len(added) * 99 // 100]
    return EventHubLatency(per_second, len(added), p50_ms, p99_ms, added[-1], cpu)


def _first(hub: HubProcess) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    for _, at_ms, ident in hub.stored:
        seen.setdefault(ident, at_ms)
    return list(seen.items())


def _id_of(body: bytes) -> str:
    """``{"id":"…",``: the first field of a transition."""
    return body[7:39].decode()


class _Stage:
    """Topics, a destination and a producer. Use ``_stage``."""

    def __init__(self, broker: BenchBroker, folder: Path, prefix: str, connection: str) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        self.topic = f"{prefix}.transitions"
        self.producer: AIOKafkaProducer
        self.session: aiohttp.ClientSession
        self._environment = {
            "TURNSTILE_KAFKA__BOOTSTRAP": broker.bootstrap,
            "TURNSTILE_TOPICS__PREFIX": prefix,
            "TURNSTILE_TOPICS__PARTITIONS": str(PARTITIONS),
            "TURNSTILE_TOPICS__CREATE": "true",
            "TURNSTILE_WORKER__APP_ID": prefix,
            "TURNSTILE_DELIVER__PORT": str(self._port),
            **broker.settings,
            "TURNSTILE_DELIVER__EVENTHUB_HOSTS": "localhost",
            "TURNSTILE_DELIVER__SECRETS": json.dumps(
                [
                    {
                        "name": SECRET,
                        "source": {"env": SECRET},
                        "hosts": ["localhost", "*.servicebus.windows.net"],
                    }
                ]
            ),
            SECRET: connection,
        }

    @asynccontextmanager
    async def deliverer(self) -> AsyncIterator[Child]:
        with Child(
            "app.main", ["deliver"], self._folder / "deliver-eventhub.log", self._environment
        ) as child:

            async def ready() -> bool:
                found = await self._status()
                return (
                    found is not None
                    and found["state"] == "running"
                    and len(found["partitions"]) == PARTITIONS
                )

            await wait_until(ready, "the deliverer is ready", [child])
            yield child
            child.stop()

    async def delivered(self, child: Child, count: int) -> None:
        async def all_of_it() -> bool:
            found = await self._status()
            return found is not None and found["delivered"] >= count

        await wait_until(all_of_it, "all is delivered", [child], DELIVER_SECONDS)

    async def _status(self) -> Any:
        return await get_json(self.session, f"http://127.0.0.1:{self._port}/v1/destinations/bench")


@asynccontextmanager
async def _stage(broker: BenchBroker, folder: Path, hub: HubProcess) -> AsyncIterator[_Stage]:
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    stage = _Stage(broker, folder, prefix, await hub.connection_string())
    admin = new_admin(Broker(broker.bootstrap))
    await admin.start()
    definitions = destinations_topic(prefix)
    try:
        wanted = {
            stage.topic: (PARTITIONS, {"retention.ms": "-1"}),
            definitions: (1, {"cleanup.policy": "compact"}),
        }
        await create_topics(admin, wanted, 1)
    finally:
        await admin.close()
    target = f"{{connection_string: {{secret: {SECRET}}}, batch: {BATCH}}}"
    text = f"{{name: bench, kind: eventhub, eventhub: {target}}}"
    (destination,) = load_destinations([("bench.yaml", text)])
    async with (
        new_producer(Broker(broker.bootstrap), idempotence=False) as producer,
        aiohttp.ClientSession() as session,
    ):
        await publish_destinations(producer, definitions, [PublishedDestination(destination, 1)])
        stage.producer, stage.session = producer, session
        yield stage
