"""Batches and mapped records through a worker that is killed in the middle: each of them counts once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.stage.log import START_MS, Line
from tests.stage.scene import scene
from tests.worker.records.test_repartitioning import EACH, EXACTLY, PARTITIONS, USERS, assert_counted_once

IN_A_BATCH = 12
MAPPING = {
    "each": "order.lines",
    "user_id": "buyer.number",
    "event": {"root": "kind"},
    "time": {"root": "order.placed", "unit": "s"},
    "properties": {"price": {"path": "price", "as": "number"}},
}


def segment(name: str) -> dict[str, Any]:
    return {"type": "track", "userId": name, "event": "buy", "properties": {"price": 5}}


def line(name: str) -> dict[str, Any]:
    return {"buyer": {"number": name}, "price": "5"}


def as_order(lines: list[dict[str, Any]]) -> object:
    return {"kind": "buy", "order": {"placed": START_MS // 1000, "lines": lines}}


WRITTEN: dict[str, tuple[dict[str, Any], Callable[[str], Any], Callable[[list[Any]], object]]] = {
    "segment": ({"format": "segment"}, segment, lambda calls: {"batch": calls}),
    "mapping": ({"format": "mapping", "mapping": MAPPING}, line, as_order),
}


def batches(
    of: Callable[[str], Any], together: Callable[[list[Any]], object]
) -> tuple[list[list[Line]], int]:
    """Every user's records in batches over all partitions, some with a bad one in them; how many have."""
    random = Random(3)
    names = [name for name in USERS for _ in range(EACH)]
    random.shuffle(names)
    parts: list[list[Line]] = [[] for _ in range(PARTITIONS)]
    bad = 0
    for number, at in enumerate(range(0, len(names), IN_A_BATCH)):
        items = [of(name) for name in names[at : at + IN_A_BATCH]]
        if number % 10 == 0:
            bad += 1
            items.insert(random.randrange(len(items)), {"bad": number})
        value = json.dumps(together(items)).encode()
        parts[random.randrange(PARTITIONS)].append(Line(START_MS + number, None, value))
    return parts, bad


@pytest.mark.parametrize("name", WRITTEN)
async def test_each_record_of_a_batch_counts_once_though_the_worker_is_killed(
    name: str, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    format, of, together = WRITTEN[name]
    lines, bad = batches(of, together)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define(EXACTLY)
        for number, each in enumerate(lines):
            await stage.send(number, each)
        formats = json.dumps([{"topic": stage.events, **format}])
        worker = stage.worker(worker__id="w1", sources__formats=formats, worker__poll_records=5)
        for transitions in (150, 600):  # a fast machine may have made them before the kill
            worker.start()
            await stage.reach(transitions)
            worker.kill()
        worker.start()
        await stage.finished()
        await assert_counted_once(stage)
        letters = {each.value for each in await stage.read(stage.dead_letters)}
        assert len(letters) == bad
        alone = [together([item]) for item in ({"bad": number} for number in range(0, 10 * bad, 10))]
        assert sorted(letters) == sorted(json.dumps(each, separators=(",", ":")).encode() for each in alone)
