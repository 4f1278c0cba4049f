"""``POST /v1/audiences:estimate`` on a worker that answers lookups meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from agents.kafka.placement import partition_of
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker
from tests.worker.estimates.test_command import NEW, PARTITIONS, PUBLISHED, fill

SMALL_BROKER: dict[str, Any] = {"kafka__idempotence": False, "kafka__rebalance_timeout_ms": 4000}


async def test_a_worker_estimates_and_looks_up_meanwhile(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        scene(broker, topic_prefix, tmp_path, partitions=PARTITIONS, idempotence=False) as stage,
        aiohttp.ClientSession() as session,
    ):
        await stage.define(PUBLISHED)
        await fill(stage)
        worker = stage.worker(**SMALL_BROKER)
        worker.start()
        await stage.until(worker.owns_all(PARTITIONS), "it owns all partitions")
        url = f"{worker.url}/v1/audiences:estimate"
        yaml = {"Content-Type": "application/yaml"}

        async def lookups() -> list[float]:
            """How long lookups took while the estimate was computed."""
            seconds = []
            for number in range(200):
                began = time.perf_counter()
                async with session.get(f"{worker.url}/v1/users/u{number}/audiences") as answer:
                    assert answer.status == 200
                seconds.append(time.perf_counter() - began)
                await asyncio.sleep(0.01)
            return seconds

        looking = asyncio.create_task(lookups())
        async with session.post(url, data=NEW, headers=yaml) as answer:
            assert answer.status == 200, await answer.text()
            (found,) = (await answer.json())["estimates"]
        assert found["size"] == {"users": 54, "low": 54, "high": 54, "exact": True}
        assert sorted(await looking)[150] < 1.0

        lines = {**yaml, "Accept": "application/x-ndjson"}
        async with session.post(url + "?error=0&days=2", data=NEW, headers=lines) as answer:
            told = [json.loads(line) async for line in answer.content]
        assert told[-1]["estimates"]["estimates"][0]["size"] == found["size"]
        assert len(told[-1]["estimates"]["estimates"][0]["days"]) == 3
        assert {each["progress"]["stage"] for each in told[:-1]} <= {"read", "evaluate"}

        async with session.post(url, data=NEW.replace("viewers", "viewrs"), headers=yaml) as answer:
            wrong = await answer.json()
        assert (answer.status, wrong["errors"][0]["code"]) == (422, "reference")
        for query in ("error=1", "error=x", "days=-1", "at=noon", "exact=1"):
            async with session.post(f"{url}?{query}", data=NEW, headers=yaml) as answer:
                assert answer.status == 400, query


async def many(stage: Scene) -> None:
    """So many records that an estimate takes a while."""
    now_ms = int(time.time() * 1000) - 1_000_000
    parts: list[list[Line]] = [[] for _ in range(PARTITIONS)]
    for number in range(30_000):
        user = f"u{number % 5_000}"
        body = json.dumps({"user_id": user, "event": "buy" if number % 2 else "view"})
        parts[partition_of(user, PARTITIONS)].append(Line(now_ms + number, user.encode(), body.encode()))
    for partition, lines in enumerate(parts):
        await stage.send(partition, lines)


async def test_closing_the_connection_ends_the_work(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    async with (
        scene(broker, topic_prefix, tmp_path, partitions=PARTITIONS, idempotence=False) as stage,
        aiohttp.ClientSession() as session,
    ):
        await stage.define(PUBLISHED)
        await many(stage)
        worker = stage.worker(**SMALL_BROKER)
        worker.start()
        await stage.until(worker.owns_all(PARTITIONS), "it owns all partitions")
        url = f"{worker.url}/v1/audiences:estimate?error=0"

        async def status() -> int:
            async with session.post(url, data=NEW) as answer:
                await answer.read()
                return answer.status

        assert not children(worker)
        first = asyncio.create_task(status())
        await stage.until(lambda: children(worker), "it is at work", at_once=True)
        assert await status() == 429
        first.cancel()
        await asyncio.wait({first})
        await stage.until(lambda: not children(worker), "its work has ended")

        async def is_free() -> bool:
            return await status() == 200

        await stage.until(is_free, "the next one gets its turn")


def children(worker: Worker) -> list[int]:
    """The processes that a worker has started and that run."""
    assert worker.process is not None
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == worker.process.pid and state != "Z":
                found.append(int(path.parent.name))
    return found
