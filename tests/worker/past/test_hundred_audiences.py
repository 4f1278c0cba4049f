"""Publishing makes no other audience unavailable: a hundred come while three workers run under load."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

PARTITIONS = 3
USERS = 300
KNOWN = """
audiences:
  - {id: seen, name: Seen, rule: {event: view}}
  - {id: buyers, name: Buyers, rule: {event: buy}}
  - {id: others, name: Others, rule: {all: [{audience: seen}, {not: {audience: buyers}}]}}
"""
BUYERS = USERS // 3
"""The first users have bought; nobody else does."""
PAUSE_SECONDS = 0.15
FULL_LOADS = 80
SLOWER, MOST_PAUSE_SECONDS = 1.1, 5.0


def lines(users: Iterator[int], event: str, at_ms: int) -> dict[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    for user in users:
        name = f"u{user}"
        body = {"user_id": name, "event": event, "properties": {"page": user % 7}}
        line = Line(at_ms, name.encode(), json.dumps(body).encode())
        found.setdefault(partition_of(name, PARTITIONS), []).append(line)
    return found


def audience(number: int) -> str:
    rules = [
        f"{{event: view, where: {{page: {number % 7}}}, count: {{gte: {1 + number % 5}}}}}",
        f"{{not: {{event: buy, within: {1 + number}d}}}}",
        f"{{all: [{{audience: seen}}, {{event: view, within: {1 + number}h}}]}}",
    ]
    return f"{{id: a{number}, name: A{number}, rule: {rules[number % 3]}}}"


async def send(stage: Scene, found: dict[int, list[Line]]) -> None:
    for partition, each in found.items():
        await stage.send(partition, each)


async def load(stage: Scene, until: asyncio.Event) -> None:
    """Views of everybody, again and again; after a while ever slower.

    Where many processes share a core, computations of the past get less of it than the views take: they would
    follow the live stream for ever and not come near.
    """
    pause = PAUSE_SECONDS
    for sent in count():
        await send(stage, lines(iter(range(USERS)), "view", int(time.time() * 1000)))
        if sent >= FULL_LOADS:
            pause = min(pause * SLOWER, MOST_PAUSE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await until.wait()
        if until.is_set():
            return


async def probe(workers: list[Worker], until: asyncio.Event, first: int) -> tuple[int, list[object]]:
    """Ask for the audiences that were there before: how often, and what was wrong."""
    asked: int = first
    wrong: list[object] = []
    while not until.is_set():
        worker, user = workers[asked % len(workers)], asked * 7 % USERS
        wanted = {"seen": True, "buyers": user < BUYERS, "others": user >= BUYERS}
        for name, member in wanted.items():
            status, body = await worker.get(f"/v1/audiences/{name}/members/u{user}")
            if status != 200 or body["member"] is not member:
                wrong.append((name, user, status, body))
        asked += 1
    return asked - first, wrong


async def test_no_lookup_of_another_audience_fails_or_is_wrong(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, PARTITIONS) as stage:
        await stage.define(KNOWN)
        workers = [stage.worker(f"w{at}", backfill__cpu_share=75) for at in range(3)]
        for worker in workers:
            worker.start()
        now_ms = int(time.time() * 1000) - 60_000
        await send(stage, lines(iter(range(USERS)), "view", now_ms))
        await send(stage, lines(iter(range(BUYERS)), "buy", now_ms + 1))
        await stage.finished()
        over = asyncio.Event()
        loading = asyncio.create_task(load(stage, over))
        probing = [asyncio.create_task(probe(workers, over, at * 101)) for at in range(4)]
        for first in range(0, 100, 20):
            more = [f"  - {audience(number)}\n" for number in range(first, first + 20)]
            await stage.define(KNOWN + "".join(more))  # those that are known stay at their versions
            await asyncio.sleep(1)

        async def all_ready() -> bool:
            found = [await worker.get("/readyz?verbose") for worker in workers]
            return all(
                status == 200 and body["audiences"] == 103 and not body["pending"] and not body["sweeping"]
                for status, body in found
            )

        await stage.until(all_ready, "all audiences are ready", 120)
        over.set()
        await loading
        found = await asyncio.gather(*probing)
        wrong = [each for _, some in found for each in some]
        assert not wrong, (len(wrong), wrong[:3])
        assert sum(asked for asked, _ in found) > 20
        status, body = await workers[0].get("/v1/audiences/a1/members/u0")
        assert (status, body["member"]) == (200, False)
        status, body = await workers[1].get(f"/v1/audiences/a1/members/u{USERS - 1}")
        assert (status, body["member"]) == (200, True)
        await stage.outcome()
