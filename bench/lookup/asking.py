"""One question after another, each asked by a process of its own, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from bench.lookup.asker import Order
from bench.lookup.wire import Kind
from bench.machine import usage
from bench.processes import BenchFailed, Child, read_result
from bench.worker.ours import BenchWorker

CONNECTIONS = 16
BATCH, MANY = 100, 1_000
"""Users in one request."""


@dataclass(frozen=True, slots=True)
class Question:
    """``per_second`` 0: as many as can be."""

    name: str
    users: int
    audiences: int
    per_second: int


@dataclass(frozen=True, slots=True)
class Asked:
    """``beside``: what went on. ``server_cpu``: of one core, all that the asked process did meanwhile."""

    whom: str
    beside: str
    question: str
    measured: int
    requests_per_second: float
    pairs_per_second: float
    milliseconds: dict[str, float]
    server_cpu: float


@dataclass(frozen=True, slots=True)
class Whom:
    """A process that is asked."""

    name: str
    kind: Kind
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Asking:
    """``audiences``: ids; a question about n of them is about the first n."""

    folder: Path
    audiences: Sequence[str]
    seconds: float
    say: Callable[[str], None]

    async def ask(self, whom: Whom, beside: str, question: Question) -> Asked:
        """Raises BenchFailed."""
        self.say(f"{whom.name}, {beside}: {question.name}")
        order, result = self.folder / "order.json", self.folder / "asked.json"
        named = list(self.audiences[: question.audiences])
        wanted = Order(
            whom.kind, whom.port, question.users, named, question.per_second, self.seconds, CONNECTIONS
        )
        order.write_bytes(msgspec.json.encode(wanted))
        result.unlink(missing_ok=True)
        before, began = usage(whom.pid), time.monotonic()
        with Child("bench.lookup.asker", [str(order), str(result)], self.folder / "asker.log") as child:
            await asyncio.to_thread(child.wait, self.seconds + 60.0)
        after, took = usage(whom.pid), time.monotonic() - began
        if before is None or after is None:
            raise BenchFailed(f"{whom.name} is gone")
        found = read_result(result)
        if found["refused"] or not found["measured"]:
            raise BenchFailed(f"{found['refused']} requests to {whom.name} were refused or not answered")
        per_second = found["measured"] / found["seconds"]
        return Asked(
            whom.name,
            beside,
            question.name,
            found["measured"],
            per_second,
            per_second * question.users * question.audiences,
            found["milliseconds"],
            (after.cpu_seconds - before.cpu_seconds) / took,
        )


async def settled(worker: BenchWorker, session: aiohttp.ClientSession) -> None:
    """Wait until no more records are applied."""
    before, now = -1.0, 0.0
    while before != now:
        await asyncio.sleep(1.0)
        worker.check()
        before, now = now, (await worker.metrics(session) or {}).get("turnstile_records_total", 0.0)
