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

from aiokafka import TopicPartition

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.kafka.placement import partition_of
from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import Pushes, plan_changes, push_record
from agents.pushes.runs import Ledger, Request, Run, record_of
from agents.registry.topic import publish, read_all
from app.pushes.service import PushService
from app.settings.tree import Settings
from tests.pushes.service.topic_target import END, OneTopic, TopicTarget, read_topic
from tests.stage.log import view
from tests.stage.scene import Scene

DEFINITIONS = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 2s}}
  - {id: ever, name: Ever, rule: {event: view}}
"""
USERS = [f"user-{number}" for number in range(301)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def settings_of(stage: Scene, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {
                "bootstrap": stage.bootstrap,
                "session_timeout_ms": 6000,
                "heartbeat_interval_ms": 500,
            },
            "topics": {"prefix": stage.prefix, "replication": 1},
            "worker": {"app_id": stage.prefix},
            "pushes": {"data_dir": str(folder), "port": 0, "probe_port": 0},
        }
    )


class PushStage:
    """Pushes beside a worker. ``topic`` gets the lists."""

    def __init__(self, stage: Scene, folder: Path) -> None:
        self.stage = stage
        self.topic = f"{stage.prefix}.lists"
        self.settings = settings_of(stage, folder)
        self.target = TopicTarget(stage.bootstrap, self.topic)
        self.service: PushService | None = None

    async def apply(self, text: str) -> None:
        """Publish pushes."""
        before = await self._read(Pushes(f"{self.stage.prefix}.pushes"))
        changes = plan_changes(before.published, load_pushes([("p.yaml", text)]), now_ms())
        records = [push_record(each.published) for each in changes]
        await publish(self.stage.producer, f"{self.stage.prefix}.pushes", records)

    async def ask(self, request: Request) -> None:
        await publish(self.stage.producer, f"{self.stage.prefix}.push-runs", [record_of(request)])

    async def ledger(self) -> Ledger:
        return await self._read(Ledger(f"{self.stage.prefix}.push-runs"))

    async def run_of(self, push: str, number: int = 0) -> Run:
        """Once it is over."""
        found: list[Run] = []

        async def is_over() -> bool:
            found[:] = (await self.ledger()).of_push(f"default/{push}")
            return len(found) > number and found[number].is_done

        await self.stage.until(is_over, f"run {number} of {push} is over")
        return found[number]

    async def lists(self) -> dict[str, list[str]]:
        """Whose rows each list has, of those that have an end."""
        records = await read_topic(self.stage.bootstrap, self.topic)
        ends = [json.loads(value) for key, value, _ in records if key == END]
        assert len({each["list"] for each in ends}) == len(ends), ends
        found: dict[str, list[str]] = {each["list"]: [] for each in ends}
        for key, value, of in records:
            if key != END:
                found[of].append(json.loads(value)["user_id"])
        return found

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[PushService]:
        """A process of pushes, in this one."""
        self.service = service = PushService(self.settings, lambda _: OneTopic(self.target))
        running = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            service.stop()
            await asyncio.wait_for(running, 60)

    async def members_at(self, audience: str, instant_ms: int) -> set[str]:
        """By the transitions that the worker wrote: the last one up to the instant decides."""
        last: dict[str, tuple[int, bool]] = {}
        for each in await self._transitions():
            at_ms = round(datetime.fromisoformat(each["at"]).timestamp() * 1000)
            if each["audience"] == audience and at_ms <= instant_ms:
                seq, _ = last.get(each["user_id"], (0, False))
                if each["seq"] > seq:
                    last[each["user_id"]] = each["seq"], each["event"] == "enter"
        return {user for user, (_, is_in) in last.items() if is_in}

    async def _transitions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        tps = [TopicPartition(self.stage.transitions, each) for each in range(self.stage.partitions)]
        async with committed_consumer(Broker(self.stage.bootstrap)) as consumer:
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            while any([await consumer.position(each) < ends[each] for each in tps]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [json.loads(each.value) for each in records if each.value]
        return found

    async def _read(self, registry: Any) -> Any:
        async with committed_consumer(Broker(self.stage.bootstrap)) as consumer:
            return await read_all(consumer, registry)


async def send_views(stage: Scene, is_over: asyncio.Event, users: Iterable[str] = tuple(USERS)) -> None:
    """Users come and go: each view takes one into ``brief`` for two seconds."""
    names, number = list(users), 0
    while not is_over.is_set():
        name = names[number * 7 % len(names)]
        number += 1
        await stage.send(partition_of(name, stage.partitions), [view(name, now_ms())])
        await asyncio.sleep(0.01)
