"""Whatever key and partition a producer gave: a user's state is in one place and counts every record once."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from agents.kafka.placement import partition_of
from tables.changelog.format import is_row
from tests.stage.log import START_MS, Line
from tests.stage.scene import Scene, scene

EACH = 6
EXACTLY = f"""
audiences:
  - {{id: all_of_them, name: All of them, rule: {{event: buy, count: {{eq: {EACH}}}}}}}
  - {{id: too_many, name: Too many, rule: {{event: buy, count: {{gt: {EACH}}}}}}}
  - {{id: summed, name: Summed, rule: {{event: buy, sum: {{property: price, eq: {EACH * 5}}}}}}}
"""
USERS = [f"user-{number}" for number in range(800)]
PARTITIONS = 4


def scattered(seed: int) -> list[list[Line]]:
    """Every user's records over all partitions, with good keys, quoted ones and none."""
    random = Random(seed)
    parts: list[list[Line]] = [[] for _ in range(PARTITIONS)]
    records = [name for name in USERS for _ in range(EACH)]
    random.shuffle(records)
    for number, name in enumerate(records):
        value = json.dumps({"user_id": name, "event": "buy", "properties": {"price": 5}}).encode()
        key = random.choice([name.encode(), json.dumps(name).encode(), None])
        partition = random.choice([random.randrange(PARTITIONS), partition_of(name, PARTITIONS)])
        parts[partition].append(Line(START_MS + number, key, value))
    return parts


async def assert_counted_once(stage: Scene) -> None:
    outcome = await stage.outcome()
    entered: dict[str, set[str]] = {}
    for body in map(json.loads, outcome.bodies.values()):
        assert body["event"] == "enter", body
        entered.setdefault(body["user_id"], set()).add(body["audience"])
    assert entered == {name: {"all_of_them", "summed"} for name in USERS}
    changelog = await stage.read(stage.changelog)
    homes = {record.key: record.partition for record in changelog if is_row(record.key)}
    assert homes == {name.encode(): partition_of(name, PARTITIONS) for name in USERS}


async def test_each_record_counts_once(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define(EXACTLY)
        for number, lines in enumerate(scattered(1)):
            await stage.send(number, lines)
        stage.worker().start()
        await stage.finished()
        await assert_counted_once(stage)
        assert await stage.total(stage.repartition) > len(USERS)


@pytest.mark.slow
async def test_each_record_counts_once_although_workers_die(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    random = Random(5)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define(EXACTLY)
        for number, lines in enumerate(scattered(2)):
            await stage.send(number, lines)
        worker = stage.worker(worker__id="w1", worker__poll_records=20)
        for _ in range(6):
            some = await stage.total(stage.repartition) + random.uniform(20, 300)
            worker.start()
            await stage.until(lambda some=some: stage.is_past(stage.repartition, some), "progress")
            worker.kill()
        worker.start()
        await stage.finished()
        await assert_counted_once(stage)
