"""A real ``turnstile worker`` in a process of its own."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from agents.topics import TopicPlan
from app.kafka.embedded import free_ports
from bench.kafka.brokers import BenchBroker
from bench.processes import BenchFailed, Child

READY_SECONDS = 600.0
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*?)\})? (\S+)$", re.MULTILINE)


def worker_plan(name: str) -> TopicPlan:
    """Topics that no other run has."""
    return TopicPlan(name, name, [f"{name}.events"])


class BenchWorker(Child):
    """``plan.events`` is where its records come from; data and log lie in ``folder``."""

    def __init__(
        self,
        broker: BenchBroker,
        plan: TopicPlan,
        partitions: int,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        command: str = "worker",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_ports(1)[0]
        self.started = time.monotonic()
        super().__init__(
            "app.main",
            command.split(),
            folder / f"{command.replace(' ', '-')}.log",
            {
                "TURNSTILE_KAFKA__BOOTSTRAP": broker.bootstrap,
                "TURNSTILE_TOPICS__PREFIX": plan.prefix,
                "TURNSTILE_TOPICS__EVENTS": ",".join(plan.events),
                "TURNSTILE_TOPICS__PARTITIONS": str(partitions),
                "TURNSTILE_TOPICS__CREATE": "true",
                "TURNSTILE_WORKER__APP_ID": plan.app_id,
                "TURNSTILE_WORKER__DATA_DIR": str(folder / "data"),
                "TURNSTILE_HTTP__PORT": str(self.port),
                "TURNSTILE_HTTP__PROBE_PORT": "0",
                **broker.settings,
                **(settings or {}),
            },
        )

    async def metrics(self, session: aiohttp.ClientSession) -> dict[str, float] | None:
        """Sums over labels by name; with ``name{labels}`` for each, too. None: it does not answer (yet)."""
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            self.check()
            return None
        found: dict[str, float] = {}
        for name, labels, value in _SAMPLE.findall(text):
            number = float(value)
            found[name] = found.get(name, 0.0) + number
            if labels:
                found[f"{name}{{{labels}}}"] = number
        return found

    async def engine(self, session: aiohttp.ClientSession) -> tuple[str, str]:
        """Which engine computes now, and why. Raises BenchFailed when the worker doesn't say."""
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/readyz?verbose") as answer:
                said = await answer.json()
            return said["engine"], said["engine_reason"]
        except (aiohttp.ClientError, TimeoutError, LookupError) as error:
            self.check()
            raise BenchFailed(f"the worker doesn't say which engine computes: {error!r}") from error

    async def ready(self, session: aiohttp.ClientSession, seconds: float = READY_SECONDS) -> float:
        """Wait until it says so; the seconds since it was started."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                    if answer.status == 200:
                        return time.monotonic() - self.started
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.02)
        raise BenchFailed(f"the worker is not ready after {seconds:.0f} s: {self.tail()}")


class BenchReader(BenchWorker):
    """A ``turnstile serve`` process, started and asked as a worker is."""

    def __init__(
        self,
        broker: BenchBroker,
        plan: TopicPlan,
        partitions: int,
        folder: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        (port,) = free_ports(1)
        own = {
            "TURNSTILE_SERVE__PORT": str(port),
            "TURNSTILE_SERVE__PROBE_PORT": "0",
            "TURNSTILE_SERVE__DATA_DIR": str(folder / "rows"),
            "TURNSTILE_SERVE__MAX_BEHIND_MS": "60000",
        }
        super().__init__(broker, plan, partitions, folder, {**(settings or {}), **own}, command="serve")
        self.port = port
