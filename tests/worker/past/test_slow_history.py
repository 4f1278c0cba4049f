"""A history that takes long to read: kills on the way, a disk that is lost, records that are gone."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path

import pytest
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition
from msgspec.json import decode

from agents.backfill.progress.progress import Progress, decode_key
from agents.kafka.placement import partition_of
from bench.kafka.apache import ApacheKafka
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

OFTEN = "audiences: [{id: often, name: Often, rule: {event: view, count: {gte: 3}}}]"
USERS = 400
RECORDS = 6_000
SLOW = {"backfill__bytes_per_second": 64 * 1024}


def log() -> list[Line]:
    """Every fourth user has three views, one of them first and one last of all."""
    begin = int(time.time() * 1000) - 60_000
    lines = []
    for number in range(RECORDS):
        user = number % USERS
        turn = number // USERS
        event = "view" if user % 4 == 0 and turn in (0, 7, RECORDS // USERS - 1) else "other"
        value = {"user_id": f"u{user}", "event": event, "properties": {"pad": "x" * 600}}
        lines.append(Line(begin + number, f"u{user}".encode(), json.dumps(value).encode()))
    return lines


async def told(stage: Scene) -> list[Progress]:
    """What was said of the audience, in order."""
    topic = f"{stage.prefix}.progress"
    stage.counts[topic] = 1
    records = await stage.read(topic)
    return [decode(each.value, type=Progress) for each in records if decode_key(each.key).audience == "often"]


async def begun(stage: Scene) -> Worker:
    """A worker that has read a part of the audience's history."""
    worker = stage.worker(worker__id="w1", **SLOW)
    worker.start()
    await worker.wait_ready()
    lines = log()
    for partition in range(stage.partitions):
        await stage.send(partition, [each for each in lines if _partition(stage, each) == partition])
    await stage.finished()
    await stage.define(OFTEN)
    await stage.until(lambda: _has_read(stage, 200), "a part of the history is read", 60)
    return worker


async def _has_read(stage: Scene, records: int) -> bool:
    return any(each.state == "replaying" and each.done >= records for each in await told(stage))


async def right(stage: Scene, worker: Worker) -> None:
    """The audience has its members, each by one enter."""

    async def ready() -> bool:
        return (await told(stage))[-1].state == "ready" and await worker.is_quiet()

    await stage.until(ready, "the audience is ready", 90)
    await stage.reach(USERS / 4)
    bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
    assert sorted(each["user_id"] for each in bodies) == sorted(f"u{user}" for user in range(0, USERS, 4))
    assert {(each["event"], each["cause"]) for each in bodies} == {("enter", "backfill")}


async def test_a_worker_that_is_killed_goes_on_where_it_was(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        worker = await begun(stage)
        worker.stop()
        before = await told(stage)
        worker.start()
        await stage.until(lambda: _says_more(stage, len(before)), "it goes on", 60)
        again = (await told(stage))[len(before)]
        assert again.done >= max(each.done for each in before) > 0
        worker.kill()
        worker.start(backfill__bytes_per_second=1024**3)
        await right(stage, worker)


async def test_scratch_stores_of_a_partition_that_moved_away_are_removed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        first = await begun(stage)
        await stage.until(lambda: len(scratch(first)) == 2, "both partitions are computed", 30)
        second = stage.worker("w2", **SLOW)
        second.start()
        await stage.until(lambda: len(scratch(second)) == 1, "one of them is computed elsewhere", 60)
        await stage.until(lambda: scratch(first).isdisjoint(scratch(second)), "its files are gone", 30)
        await stage.until(lambda: len(scratch(first)) == 1, "the other one goes on being computed", 30)


def scratch(worker: Worker) -> set[str]:
    """The names of the folders that scratch stores lie in, one for each partition."""
    return {each.name for each in (worker.data / "scratch").glob("*")}


def _partition(stage: Scene, line: Line) -> int:
    return partition_of((line.key or b"").decode(), stage.partitions)


async def _says_more(stage: Scene, records: int) -> bool:
    return len(await told(stage)) > records


async def test_a_scratch_store_that_is_lost_is_computed_again(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        worker = await begun(stage)
        worker.kill()
        shutil.rmtree(worker.data / "scratch")
        worker.start(backfill__bytes_per_second=1024**3)
        await right(stage, worker)


@pytest.mark.slow
async def test_a_broker_that_restarts_while_the_history_is_read_changes_nothing(
    kafka_node: ApacheKafka, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka_node.bootstrap, topic_prefix, tmp_path, partitions=1) as stage:
        worker = await begun(stage)
        before = max(each.done for each in await told(stage))
        kafka_node.kill()
        kafka_node.restart()
        await stage.until(lambda: _has_read(stage, before + 500), "it goes on", 60)
        kafka_node.shut_down()
        kafka_node.restart()
        await right(stage, worker)
        worker.check()


async def test_records_that_are_gone_before_they_were_read_fail_the_version_with_the_reason(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        worker = await begun(stage)
        gone = RecordsToDelete(RECORDS - 100)
        await stage.admin.delete_records({TopicPartition(stage.events, 0): gone})
        await stage.until(lambda: _has_failed(stage), "the version has failed", 60)
        failed = next(each for each in await told(stage) if each.state == "failed")
        assert "the history is there from" in failed.reason
        worker.check()
        await asyncio.sleep(3)
        assert (await told(stage))[-1].state == "failed"
        assert await stage.total(stage.transitions) == 0


async def _has_failed(stage: Scene) -> bool:
    return any(each.state == "failed" for each in await told(stage))
