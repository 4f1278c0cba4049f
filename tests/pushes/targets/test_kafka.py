"""Lists as records, over a real Kafka: each is there once, or not at all."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.pushes.content.rows import Rows
from agents.pushes.contract.push import AttributeColumn, Content, IdColumn, RowFormat
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import ListOutdated, TargetRefused, TargetUnavailable
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.kafka_clients import COMPRESSIONS, Compression, KafkaPlace, started_producer
from agents.sinks.kafka.guard import KafkaGuard
from app.kafka.embedded import free_ports
from bench.kafka.clients import make_topic
from tests.pushes.content import test_hostile as hostile
from tests.pushes.targets.spools import members, no_progress, spooled
from tests.stage.ends import ends_of

CONTENT = Content(
    ids=(IdColumn("email", "md5"),),
    attributes=(AttributeColumn(("city",), "town"),),
    format=RowFormat("kafka"),
)
PARTITIONS = 3


@pytest.fixture
async def place(kafka: str, topic_prefix: str) -> KafkaPlace:
    await make_topic(kafka, topic_prefix, PARTITIONS)
    return KafkaPlace(Broker(kafka), topic_prefix, transactional_prefix=f"{topic_prefix}.")


async def committed(place: KafkaPlace) -> list[Any]:
    """All records that were committed, of the topic's partitions one after another."""
    async with committed_consumer(place.broker) as consumer:
        consumer.subscribe([place.topic])
        while not (tps := consumer.assignment()):
            await asyncio.sleep(0.05)
        ends = await ends_of(place.broker.bootstrap, tps)
        found = []
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
    return sorted(found, key=lambda each: (each.partition, each.offset))


def rows_of(records: list[Any]) -> list[dict[str, Any]]:
    """Without end records."""
    return [json.loads(each.value) for each in records if "turnstile.end" not in dict(each.headers)]


def end_records(records: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(each.value) for each in records if "turnstile.end" in dict(each.headers)]


def expected(count: int) -> list[str]:
    lines = Rows(replace(CONTENT, format=RowFormat("jsonl"))).make(members(count)).data
    return sorted(json.dumps(json.loads(line)) for line in lines.splitlines())


def list_of(folder: Path, count: int, list_id: str = "list-1") -> SpooledList:
    return spooled(folder, CONTENT, [members(count)], list_id)


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_a_list_is_there_once_with_its_end(
    place: KafkaPlace, tmp_path: Path, compression: Compression
) -> None:
    place = replace(place, compression=compression)
    seen: list[int] = []
    list_, to = list_of(tmp_path, 5_000), KafkaTarget(place)
    delivered = await to.deliver(list_, seen.append)
    assert await to.deliver(list_, no_progress) == delivered
    assert await to.find(list_.push, list_.run_id, list_.list_id) == delivered

    records = await committed(place)
    assert sorted(map(json.dumps, rows_of(records))) == expected(5_000)
    assert {each.partition for each in records} == set(range(PARTITIONS))
    assert all(dict(each.headers)["turnstile.list"] == b"list-1" for each in records)
    assert [each.key.decode() for each in records if each.value.startswith(b'{"email"')] == [
        each["email"] for each in rows_of(records)
    ]
    (end,) = end_records(records)
    assert (end["list_id"], end["rows"], end["rows_by_id"]) == ("list-1", 5_000, {"email": 5_000})
    assert (delivered.rows, seen[-1]) == (5_000, 5_000)


@pytest.mark.parametrize("compression", ["none", "zstd"], ids=["by the core", "by aiokafka"])
async def test_hostile_ids_and_labels_arrive_as_they_were(
    place: KafkaPlace, tmp_path: Path, compression: Compression
) -> None:
    list_ = hostile.list_of(tmp_path, RowFormat("kafka", empty="null"), hostile.EACH)
    await KafkaTarget(replace(place, compression=compression)).deliver(list_, no_progress)

    records = [each for each in await committed(place) if "turnstile.end" not in dict(each.headers)]
    wanted = hostile.wanted_objects(hostile.EACH)
    assert sorted(json.dumps(json.loads(each.value)) for each in records) == sorted(map(json.dumps, wanted))
    assert all(each.key.decode() == json.loads(each.value)["id"] for each in records)


async def test_a_list_is_looked_for_since_its_run_began(place: KafkaPlace, tmp_path: Path) -> None:
    list_, to = list_of(tmp_path, 1), KafkaTarget(place)
    delivered = await to.deliver(list_, no_progress)
    now_ms, hour_ms = time.time_ns() // 1_000_000, 3_600_000
    assert await to.find(list_.push, list_.run_id, list_.list_id, now_ms) == delivered
    assert await to.find(list_.push, list_.run_id, list_.list_id, now_ms + hour_ms) is None


async def test_what_a_dead_process_left_open_is_not_there(place: KafkaPlace, tmp_path: Path) -> None:
    list_ = list_of(tmp_path, 1_000)
    dead = await started_producer(place, list_.push.key)
    await dead.begin_transaction()
    await KafkaTarget(place)._send(dead, list_, PARTITIONS, no_progress)
    await dead.flush()

    assert await KafkaTarget(place).find(list_.push, list_.run_id, list_.list_id) is None
    with pytest.raises(KafkaError):
        await dead.commit_transaction()
    await dead.stop()
    await KafkaTarget(place).deliver(list_, no_progress)

    assert sorted(map(json.dumps, rows_of(await committed(place)))) == expected(1_000)


async def test_a_process_that_slept_before_it_committed_commits_nothing(
    place: KafkaPlace, tmp_path: Path
) -> None:
    asleep, goes_on = asyncio.Event(), asyncio.Event()

    async def sleeps() -> None:
        asleep.set()
        await goes_on.wait()

    list_, new = list_of(tmp_path, 100), list_of(tmp_path, 60, "list-2")
    delivering = asyncio.create_task(KafkaTarget(place).deliver(list_, no_progress, sleeps))
    await asyncio.wait_for(asleep.wait(), 60)
    assert await KafkaTarget(place).find(list_.push, list_.run_id, list_.list_id) is None
    await KafkaTarget(place).deliver(new, no_progress)
    goes_on.set()
    with pytest.raises(TargetUnavailable, match="another process delivers this push now"):
        await delivering

    records = await committed(place)
    assert [each["list_id"] for each in end_records(records)] == ["list-2"]
    assert sorted(map(json.dumps, rows_of(records))) == expected(60)


async def test_a_list_that_may_not_appear_any_more_is_not_committed(
    place: KafkaPlace, tmp_path: Path
) -> None:
    async def refuses() -> None:
        raise ListOutdated("somebody was erased")

    to, list_ = KafkaTarget(place), list_of(tmp_path, 100)
    with pytest.raises(ListOutdated):
        await to.deliver(list_, no_progress, refuses)
    assert await committed(place) == []
    await to.deliver(list_, no_progress)
    assert sorted(map(json.dumps, rows_of(await committed(place)))) == expected(100)


async def test_a_row_that_the_topic_does_not_take_refuses_the_whole_list(
    place: KafkaPlace, tmp_path: Path
) -> None:
    users = [*members(100), *members(1, 100)]
    users[-1].attributes = {"city": "x" * 2_000_000}
    with pytest.raises(TargetRefused, match=r"MessageSizeTooLarge|RecordTooLarge"):
        await KafkaTarget(place).deliver(spooled(tmp_path, CONTENT, [users]), no_progress)
    assert await committed(place) == []


async def test_a_topic_that_is_not_there_is_told_by_name(place: KafkaPlace, tmp_path: Path) -> None:
    to = KafkaTarget(replace(place, topic=f"{place.topic}-other"))
    with pytest.raises(TargetRefused, match=f"the topic '{place.topic}-other' does not exist"):
        await to.deliver(list_of(tmp_path, 1), no_progress)


async def test_a_topic_of_our_own_and_rows_of_files_are_refused(place: KafkaPlace, tmp_path: Path) -> None:
    own = replace(place, why_not=lambda topic: f"{topic} is one of Turnstile's own")
    with pytest.raises(TargetRefused, match="one of Turnstile's own"):
        await KafkaTarget(own).deliver(list_of(tmp_path, 1), no_progress)
    with pytest.raises(TargetRefused, match="allowed: kafka"):
        await KafkaTarget(place).deliver(spooled(tmp_path), no_progress)


async def test_a_cluster_at_a_private_address_is_refused_unless_allowed(
    place: KafkaPlace, tmp_path: Path
) -> None:
    guarded = replace(place, guard=KafkaGuard(lambda endpoint: None, allow_private=False))
    with pytest.raises(TargetRefused, match="not an address of the public internet"):
        await KafkaTarget(guarded).deliver(list_of(tmp_path, 1), no_progress)

    allowed = replace(place, guard=KafkaGuard(lambda endpoint: None, allow_private=True))
    assert (await KafkaTarget(allowed).deliver(list_of(tmp_path, 1), no_progress)).rows == 1


async def test_a_cluster_that_is_down_is_tried_again(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with pytest.raises(TargetUnavailable, match=f"127.0.0.1:{port}"):
        await KafkaTarget(KafkaPlace(Broker(f"127.0.0.1:{port}"), "t")).deliver(
            list_of(tmp_path, 1), no_progress
        )
