"""Source topics with any number of partitions, also with more of them while workers run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaProducer

from agents.kafka.placement import partition_of
from tables.changelog.format import is_row
from tests.stage.log import START_MS
from tests.stage.scene import Scene, scene

TABLE = 4
GROWN = 12
EACH = 5
LADDER = "audiences:\n" + "".join(
    f"  - {{id: at_least_{n}, name: At least {n}, rule: {{event: buy, count: {{gte: {n}}}}}}}\n"
    for n in range(1, EACH + 2)
)
"""A user with EACH events goes up all rungs but the last: one lost or counted twice shows."""
USERS = [f"user-{number}" for number in range(600)]
SLICE = 40


def purchases(seed: int) -> list[tuple[bytes | None, bytes]]:
    """(key, value) of every user's events; some keys are missing, or not the user's id."""
    random = Random(seed)
    names = [name for name in USERS for _ in range(EACH)]
    random.shuffle(names)
    found: list[tuple[bytes | None, bytes]] = []
    for name in names:
        key = random.choice([name.encode()] * 6 + [json.dumps(name).encode(), None])
        found.append((key, json.dumps({"user_id": name, "event": "buy"}).encode()))
    return found


async def send(producer: AIOKafkaProducer, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
    """With the default partitioner, over as many partitions as the producer knows."""
    sent = [await producer.send(topic, value, key, timestamp_ms=START_MS) for key, value in records]
    await asyncio.gather(*sent)


async def assert_ladder(stage: Scene) -> None:
    """What a model says: each user enters once for each event, in order."""
    outcome = await stage.outcome()
    rungs: dict[str, list[str]] = {name: [] for name in USERS}
    for body in map(json.loads, outcome.bodies.values()):
        assert (body["event"], body["seq"]) == ("enter", 1), body
        rungs[body["user_id"]].append(body["audience"])
    expected = [f"at_least_{n}" for n in range(1, EACH + 1)]
    wrong = {name: got for name, got in rungs.items() if got != expected}
    assert not wrong, f"{len(wrong)} users of {len(USERS)}: {dict(list(wrong.items())[:3])}"
    changelog = await stage.read(stage.changelog)
    homes = {record.key: record.partition for record in changelog if is_row(record.key)}
    assert homes == {name.encode(): partition_of(name, TABLE) for name in USERS}


async def test_a_topic_grows_while_workers_come_and_go(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    records = purchases(1)
    third = len(records) // 3
    bad = [(str(number).encode(), b"no record") for number in range(40)]
    async with scene(kafka, topic_prefix, tmp_path, partitions=TABLE) as stage:
        await stage.define(LADDER)
        options = {"kafka__metadata_max_age_ms": 500, "worker__poll_records": 50}
        first, second = (stage.worker(f"w{number}", **options) for number in (1, 2))
        first.start()
        second.start()

        async def write(lines: list[tuple[bytes | None, bytes]]) -> None:
            for start in range(0, len(lines), SLICE):
                await send(stage.producer, stage.events, lines[start : start + SLICE])
                await asyncio.sleep(0.1)

        await second.wait_ready()
        writing = asyncio.create_task(write(records[:third]))
        await stage.reach(100)
        await stage.grow(stage.events, GROWN)
        await writing
        await send(stage.producer, stage.events, bad)
        writing = asyncio.create_task(write(records[third : 2 * third]))
        await asyncio.sleep(1)
        first.kill()
        await stage.until(second.owns_all(TABLE), "the other worker took over")
        await writing
        writing = asyncio.create_task(write(records[2 * third :]))
        first.start()
        await first.wait_ready()
        await writing
        await stage.finished()
        ends = await stage.ends(stage.events)
        assert len(ends) == GROWN
        assert all(ends.values())
        await assert_ladder(stage)
        assert {letter.key for letter in await stage.read(stage.dead_letters)} == {key for key, _ in bad}

        async def no_lag(partitions: int) -> bool:
            lags = [lag for worker in stage.running() for lag in (await worker.lags(stage.events)).items()]
            return sorted(lags) == [(each, 0) for each in range(partitions)]

        await stage.until(lambda: no_lag(GROWN), "each source partition is exported once, without lag", 10)
        # And an end in order in the middle of it.
        await stage.grow(stage.events, GROWN + 3)
        await asyncio.sleep(0.7)
        first.stop()
        await stage.until(second.owns_all(TABLE), "the other worker took over")
        await stage.until(lambda: no_lag(GROWN + 3), "it reads what was added", 10)
        second.stop()


async def test_sources_may_have_fewer_partitions_than_the_table_and_others_more(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    records = purchases(2)
    async with scene(kafka, topic_prefix, tmp_path, partitions=TABLE) as stage:
        await stage.define(LADDER)
        few, many = f"{topic_prefix}.few", f"{topic_prefix}.many"
        await stage.make(few, 1)
        await stage.make(many, 6)
        for number, topic in enumerate((stage.events, few, many)):
            await send(stage.producer, topic, records[number::3])
        worker = stage.worker(topics__events=json.dumps([stage.events, few, many]))
        worker.start()
        await stage.until(lambda: stage.is_committed(few, many), "every source offset is committed")
        await stage.finished()
        await assert_ladder(stage)
        worker.stop()


async def test_each_partition_is_exported_by_its_owner_alone(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=TABLE) as stage:
        await stage.define(LADDER)
        await send(stage.producer, stage.events, purchases(3)[:200])
        first, second = (stage.worker(f"w{number}") for number in (1, 2))

        async def exported() -> list[list[int]]:
            found = []
            for worker in stage.running():
                before, lags = await worker.clocks(), await worker.lags(stage.events)
                clocks = await worker.clocks()  # partitions may have moved between the two
                assert before.keys() | clocks.keys() >= lags.keys()
                found.append(sorted(clocks) if clocks.keys() == lags.keys() else [])
            return found

        async def is_shared() -> bool:
            owned = await exported()
            return sorted(chain(*owned)) == list(range(TABLE)) and all(owned)

        first.start()
        await stage.until(is_shared, "one worker exports all partitions")
        second.start()
        await second.wait_ready()
        await stage.until(is_shared, "each exports its own", 20)
        second.stop()
        await stage.until(is_shared, "one worker exports all partitions again", 30)
