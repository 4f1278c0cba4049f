"""Processes of pushes on a stage of real workers: definitions published, runs asked for, lists read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.kafka.placement import partition_of
from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import Pushes
from agents.pushes.runs import Ledger, Request, Run, record_of
from agents.pushes.targets.kafka_end import END_HEADER, LIST_HEADER
from agents.registry.definitions import definition_record
from agents.registry.topic import publish, read_all
from app.pushes.service import PushService
from app.settings.tree import Settings
from tests.stage.ends import ends_of
from tests.stage.log import view
from tests.stage.scene import Scene

DEFINITIONS = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 2s}}
  - {id: ever, name: Ever, rule: {event: view}}
"""
CONFIRMATION_SECRET = "a secret of the tests, of 32 characters or more"
CONNECTION = "{name: own, kind: kafka, kafka: {}}"
USERS = [f"user-{number}" for number in range(301)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def environ_of(stage: Scene, folder: Path) -> dict[str, object]:
    """The settings of a process of pushes."""
    return {
        "kafka.bootstrap": stage.bootstrap,
        "kafka.session_timeout_ms": 6000,
        "kafka.heartbeat_interval_ms": 500,
        "topics.prefix": stage.prefix,
        "topics.replication": 1,
        "worker.app_id": stage.prefix,
        "pushes.data_dir": str(folder),
        "pushes.port": 0,
        "pushes.probe_port": 0,
        "pushes.public_url": "http://lists.example",
        "pushes.confirmation_secret": CONFIRMATION_SECRET,
    }


def settings_of(stage: Scene, folder: Path) -> Settings:
    tree: dict[str, Any] = {}
    for name, value in environ_of(stage, folder).items():
        section, key = name.split(".")
        tree.setdefault(section, {})[key] = value
    return Settings.model_validate(tree)


class PushStage:
    """Pushes beside a worker. ``topic`` gets the lists."""

    def __init__(self, stage: Scene, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.topic = f"{stage.prefix}-lists"

    async def prepare(self) -> None:
        """Make the topics, publish the connection."""
        await self.stage.make(self.topic, 1)
        compacted = {"cleanup.policy": "compact"}
        for name in ("pushes", "push-runs", "connections"):
            await self.stage.make(f"{self.stage.prefix}.{name}", 1, compacted)
        (connection,) = load_connections([("c.yaml", CONNECTION)])
        record = definition_record(PublishedConnection(connection, 1))
        await publish(self.stage.producer, f"{self.stage.prefix}.connections", [record])

    def push(self, name: str, audience: str, more: str = "") -> str:
        """A definition."""
        target = f"target: {{topic: {self.topic}}}"
        rest = f"connection: own, content: {{format: kafka}}, {target}"
        return f"{{name: {name}, audience: {audience}, {rest}{more and ', '}{more}}}"

    async def apply(self, text: str) -> None:
        """Publish pushes."""
        before = await self._read(Pushes(f"{self.stage.prefix}.pushes"))
        changes = before.plan(load_pushes([("p.yaml", text)]), now_ms())
        records = [definition_record(each.published) for each in changes]
        await publish(self.stage.producer, f"{self.stage.prefix}.pushes", records)

    async def ask(self, request: Request) -> None:
        await publish(self.stage.producer, f"{self.stage.prefix}.push-runs", [record_of(request)])

    async def ledger(self) -> Ledger:
        found: Ledger = await self._read(Ledger(f"{self.stage.prefix}.push-runs"))
        return found

    async def run_of(self, push: str, number: int = 0) -> Run:
        """Once it is over."""
        found: list[Run] = []

        async def is_over() -> bool:
            found[:] = (await self.ledger()).index.of_push(f"default/{push}")
            return len(found) > number and found[number].is_done

        await self.stage.until(is_over, f"run {number} of {push} is over")
        return found[number]

    async def lists(self) -> dict[str, list[str]]:
        """Whose rows each list has, of those that have an end; each has one end at most."""
        found: dict[str, list[str]] = {}
        ends: list[str] = []
        tp = TopicPartition(self.topic, 0)
        async with committed_consumer(Broker(self.stage.bootstrap)) as consumer:
            for record in await self._all(consumer, [tp]):
                headers = dict(record.headers)
                of = headers[LIST_HEADER].decode()
                if END_HEADER in headers:
                    ends.append(of)
                else:
                    found.setdefault(of, []).append(record.key.decode())
        assert len(set(ends)) == len(ends)
        assert found.keys() <= set(ends)
        return {each: found.get(each, []) for each in ends}

    @asynccontextmanager
    async def serving(self, name: str = "first") -> AsyncIterator[PushService]:
        """A process of pushes, in this one, with a disk of its own by its name."""
        service = PushService(settings_of(self.stage, self.folder / name))
        running = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            service.stop()
            await asyncio.wait_for(running, 60)

    async def members_at(self, audience: str, instant_ms: int) -> set[str]:
        """By the transitions that the worker wrote: the last one up to the instant decides."""
        last: dict[str, tuple[int, bool]] = {}
        tps = [TopicPartition(self.stage.transitions, each) for each in range(self.stage.partitions)]
        async with committed_consumer(Broker(self.stage.bootstrap)) as consumer:
            bodies = [json.loads(each.value) for each in await self._all(consumer, tps)]
        for each in bodies:
            at_ms = round(datetime.fromisoformat(each["at"]).timestamp() * 1000)
            if each["audience"] == audience and at_ms <= instant_ms:
                seq, _ = last.get(each["user_id"], (0, False))
                if each["seq"] > seq:
                    last[each["user_id"]] = each["seq"], each["event"] == "enter"
        return {user for user, (_, is_in) in last.items() if is_in}

    async def _read(self, registry: Any) -> Any:
        async with committed_consumer(Broker(self.stage.bootstrap)) as consumer:
            return await read_all(consumer, registry)

    async def _all(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> list[Any]:
        """Every record, up to the ends as they are now; of a commit that was just answered, too."""
        found: list[Any] = []
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await ends_of(self.stage.bootstrap, tps)
        while any([await consumer.position(each) < ends[each] for each in tps]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found


async def send_views(stage: Scene, is_over: asyncio.Event, users: Iterable[str] = tuple(USERS)) -> None:
    """Users come and go: each view takes one into ``brief`` for two seconds."""
    names, number = list(users), 0
    while not is_over.is_set():
        name = names[number * 7 % len(names)]
        number += 1
        await stage.send(partition_of(name, stage.partitions), [view(name, now_ms())])
        await asyncio.sleep(0.01)
