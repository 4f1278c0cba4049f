"""Definitions come late, in parts and edited, while workers die: the members are those of a partition that
had the last definitions from the start. ``make fuzz`` runs more seeds, through TURNSTILE_FUZZ_SEEDS."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rules.parse.definitions import load_definitions
from rules.time.instants import parse_instant
from rules.write.audience import to_document
from tests.stage.compare import Reference
from tests.stage.log import DEFINITIONS, Log, make_log
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

PARTITIONS = 4
RECORDS = 12_000
USERS = 600
FUZZ_SEEDS = int(os.environ.get("TURNSTILE_FUZZ_SEEDS", "0"))
LONG_AGO = "2025"
"""The first part of the log is of 2024; no rule of ``DEFINITIONS`` with a window looks back so far."""


class Editor:
    """Publishes versions of ``DEFINITIONS``: each audience later, with other rules before the last one."""

    def __init__(self, stage: Scene, random: Random) -> None:
        self.stage = stage
        self.random = random
        self.versions: dict[str, int] = {}
        self.last: dict[str, Any] = {}
        self.final: list[dict[str, Any]] = [
            to_document(each) for each in load_definitions([("a.yaml", DEFINITIONS)])
        ]

    async def some(self) -> None:
        """Publish some audiences, mostly with another rule than the last one."""
        for each in self.random.sample(self.final, self.random.randint(1, 5)):
            other = self.random.choice(
                [
                    {"not": each["rule"]},
                    {"event": "view", "count": {"gte": 2}},
                    {"event": "buy"},
                    each["rule"],
                ]
            )
            await self._publish(each | {"rule": other})

    async def all(self) -> None:
        for each in self.final:
            await self._publish(each)

    async def _publish(self, definition: dict[str, Any]) -> None:
        name = definition["id"]
        if self.last.get(name) == definition:
            return
        self.last[name] = definition
        self.versions[name] = self.versions.get(name, 0) + 1
        await self.stage.define(json.dumps({"audiences": [definition]}), version=self.versions[name])


async def disturb(stage: Scene, workers: list[Worker], random: Random, seconds: float) -> None:
    """Kill workers at random instants, and wipe the disks of some."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0.2, 3.5))
        worker = random.choice(workers)
        worker.check()
        worker.kill()
        if random.random() < 0.4:
            shutil.rmtree(stage.folder / worker.name, ignore_errors=True)
        await asyncio.sleep(random.choice([0, 0, 1.5]))
        worker.start()


def later(log: Log, records: int, seed: int) -> Log:
    """More of the log, with stamps that the clocks of idle partitions don't reach meanwhile."""
    return make_log(seed, records, USERS, PARTITIONS, minutes=1, start_ms=int(time.time() * 1000) + 20_000)


async def settled(stage: Scene, editor: Editor) -> None:
    """Every version is ready everywhere."""

    async def is_settled() -> bool:
        for worker in stage.running():
            status, body = await worker.get("/readyz?verbose")
            if status != 200 or body["pending"] or body["sweeping"]:
                return False
            if body["audiences"] != len(editor.final):
                return False
        return True

    await stage.until(is_settled, "all versions are ready", 180)


@pytest.mark.parametrize("seed", [1])
async def test_the_members_are_those_of_definitions_from_the_start(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    await run(kafka, topic_prefix, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 2 + FUZZ_SEEDS))
async def test_many_seeds(kafka: str, topic_prefix: str, tmp_path: Path, seed: int) -> None:
    await run(kafka, topic_prefix, tmp_path, seed)


async def run(kafka: str, topic_prefix: str, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    log = make_log(seed, RECORDS, USERS, PARTITIONS, bad=0)
    async with scene(kafka, topic_prefix, tmp_path, PARTITIONS) as stage:
        editor = Editor(stage, random)
        await editor.some()
        await stage.load(log)
        workers = [stage.worker(f"w{at}", audiences__max_change=1_000_000) for at in (1, 2)]
        for worker in workers:
            worker.start()
        for number in range(3):
            await disturb(stage, workers, random, random.uniform(2, 6))
            more = later(log, 1_500, seed * 10 + number)
            await stage.load(more)
            for part, lines in zip(log.parts, more.parts, strict=True):
                part += lines
            await (editor.some() if number < 2 else editor.all())
        await disturb(stage, workers, random, random.uniform(4, 12))
        await stage.until(stage.is_committed, "every source offset is committed", 120)
        await settled(stage, editor)
        await stage.outcome()  # numbers without gaps, repeats with equal bodies
        reference = Reference(log, DEFINITIONS, stage.events, int(time.time() * 1000))
        await assert_members(workers, reference, random.sample(log.users, 200))


async def assert_members(workers: list[Worker], reference: Reference, users: list[str]) -> None:
    """At the instant of each answer. What began before the history that was read has a later ``since``."""
    wrong = []
    for number, user in enumerate(users):
        status, body = await workers[number % len(workers)].get(f"/v1/users/{user}/audiences")
        assert status == 200, body
        found = {each["id"]: each["since"] for each in body["audiences"]}
        wanted = reference.audiences(user, parse_instant(body["at"]))
        long_ago = {each for each, since in wanted.items() if since < LONG_AGO}
        same_since = all(found.get(each) == wanted[each] for each in wanted.keys() - long_ago)
        if found.keys() != wanted.keys() or not same_since:
            wrong.append((user, found, wanted))
    assert not wrong, (len(wrong), wrong[:5])
