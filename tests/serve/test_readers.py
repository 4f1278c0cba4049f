"""Readers beside workers, on a real broker: what they say is right at the instant that they name."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.kafka.placement import partition_of
from tests.stage.log import Line, view
from tests.stage.readers import ReaderProcess, reader_of
from tests.stage.scene import Scene, scene

DEFINITIONS = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 2s}}
  - {id: ever, name: Ever, rule: {event: view}}
"""
BRIEF_MS = 2_000
SLACK_MS = 50
"""By so much instants of two processes on one machine may differ."""
ASKED_OF_ALL = 16
"""So many questions reach each of two processes that share a port, all but surely."""
USERS = [f"user-{number}" for number in range(12)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Model:
    """What was sent, and what a lookup may say of it."""

    def __init__(self) -> None:
        self.views: dict[str, list[int]] = {name: [] for name in USERS}
        self.written: dict[str, list[tuple[int, int]]] = {name: [] for name in USERS}
        """Those that Kafka has acknowledged, each with the instant when we heard so."""
        self.answers = 0
        self.by_reader = 0

    def check(self, name: str, body: dict[str, Any], asked_ms: int, seen: list[tuple[int, int]]) -> None:
        """``seen``: the views that Kafka had when the question was asked.

        Time goes on without records that reach Kafka late, so those count that were there at the answer's
        instant.
        """
        as_of_ms = ms(body["at"])
        self.answers += 1
        if body.get("reader"):
            self.by_reader += 1
            assert asked_ms - SLACK_MS <= as_of_ms + body["behind_ms"] <= now_ms() + SLACK_MS
        must = [each for each, written_ms in seen if written_ms <= as_of_ms]
        may = [each for each in self.views[name] if each <= now_ms()]
        inside = {each["id"] for each in body["audiences"]}
        if must:
            assert "ever" in inside, f"{name} has views {must}, and is in nothing at {as_of_ms}"
            if max(must) + BRIEF_MS > as_of_ms:
                assert "brief" in inside, (name, must, as_of_ms)
        if not may:
            assert not inside
        if "brief" in inside:
            assert any(each + BRIEF_MS > as_of_ms for each in may), (name, may, as_of_ms)


def ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


async def test_a_reader_answers_rightly_while_a_worker_works_dies_and_comes_back(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(DEFINITIONS)
        worker, reader = stage.worker(worker__id="w1"), reader_of(stage, serve__processes=2)
        worker.start()
        await worker.wait_ready()
        reader.start()
        await reader.wait_ready()
        model, is_over = Model(), asyncio.Event()
        sending = asyncio.create_task(send(stage, model, is_over))
        asking = [asyncio.create_task(ask(reader, model, is_over, each)) for each in range(2)]
        try:
            await stage.until(lambda: model.by_reader > 20, "the reader answers")
            before = model.by_reader
            worker.kill()
            await stage.until(lambda: model.by_reader > before + 20, "the reader answers without a worker")
            status, body = await reader.get(f"/v1/users/{USERS[0]}/audiences")
            assert (status, body["reader"]) == (200, True)
            assert body["behind_ms"] > 0
            worker.start()
            await worker.wait_ready()
            before = model.by_reader
            await stage.until(lambda: model.by_reader > before + 20, "the reader goes on")
        finally:
            is_over.set()
            await asyncio.gather(sending, *asking)
        await is_caught_up(stage, reader)
        for name in USERS:
            theirs = (await worker.get(f"/v1/users/{name}"))[1]
            ours = (await reader.get(f"/v1/users/{name}"))[1]
            assert [each["id"] for each in ours["audiences"]] == [each["id"] for each in theirs["audiences"]]
        await reads_what_was_written(stage, reader)
        members = 1 + len([each for each in model.views.values() if each])

        async def has_all() -> bool:
            status, size = await reader.get("/v1/audiences/ever/size")
            return status == 200 and size["members"] == members

        await stage.until(has_all, f"the size of the audience is {members}", 20)


async def reads_what_was_written(stage: Scene, reader: ReaderProcess) -> None:
    """``min_position`` waits for a record that was just written, and not for ever."""
    value, partition = b'{"user_id": "new", "event": "view"}', partition_of("new", stage.partitions)
    sent = await stage.producer.send_and_wait(stage.events, value, b"new", partition=partition)
    asked = {"users": [{"user_id": "new"}], "audiences": ["ever"], "deadline_ms": 15_000}
    place = f"{stage.events}/{partition}"
    for position in (f"{place}@{sent.offset}", "latest"):
        status, body = await reader.post("/v1/lookup", {**asked, "min_position": position})
        (answer,) = body["users"]
        assert (status, answer["status"], answer["reader"]) == (200, "ok", True), body
        assert answer["memberships"]["ever"]["member"] is True
    later = {**asked, "min_position": f"{place}@{sent.offset + 1_000}", "deadline_ms": 50}
    status, body = await reader.post("/v1/lookup", later)
    assert (status, body["users"][0]["status"]) == (200, "unavailable")
    status, body = await reader.post("/v1/lookup", {**asked, "min_position": "yesterday"})
    assert (status, body["errors"][0]["path"]) == (400, "min_position")


async def send(stage: Scene, model: Model, is_over: asyncio.Event) -> None:
    number = 0
    while not is_over.is_set():
        name = USERS[number * 7 % len(USERS)]
        number += 1
        stamp = now_ms()
        line: Line = view(name, stamp)
        model.views[name].append(stamp)
        await stage.send(partition_of(name, stage.partitions), [line])
        model.written[name].append((stamp, now_ms()))
        await asyncio.sleep(0.02)


async def ask(reader: ReaderProcess, model: Model, is_over: asyncio.Event, number: int) -> None:
    while not is_over.is_set():
        name = USERS[number % len(USERS)]
        number += 5
        asked_ms, seen = now_ms(), list(model.written[name])
        status, body = await reader.get(f"/v1/users/{name}/audiences")
        if status == 200:
            model.check(name, body, asked_ms, seen)
        else:
            assert status in (0, 503), (status, body)
            await asyncio.sleep(0.02)


async def is_caught_up(stage: Scene, reader: ReaderProcess) -> None:
    """The log stands still, and the reader's answers are as new as the grace allows."""

    async def is_fresh() -> bool:
        for _ in range(ASKED_OF_ALL):
            body = (await reader.get(f"/v1/users/{USERS[0]}/audiences"))[1]
            if not body or ms(body["at"]) <= began:
                return False
        return True

    began = now_ms() + BRIEF_MS
    await stage.until(is_fresh, "the reader follows the wall clock")
