"""Transactions of producers: aborted ones never were, open ones hold time back, committed ones count."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

from aiokafka import AIOKafkaProducer

from agents.evaluate.transitions import encode_transition
from tests.stage.delivery import scene as delivery_scene
from tests.stage.delivery import transition
from tests.stage.log import view
from tests.stage.receiver import receiver
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker, until

BRIEF = "audiences: [{id: brief, name: Brief, rule: {event: view, within: 2s}}]"
LONGER = BRIEF.replace("2s", "7s")
"""Ann is still in it when the transaction has begun, on a slow machine, too."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def produce(producer: AIOKafkaProducer, topic: str, *users: str) -> None:
    for user in users:
        line = view(user, now_ms())
        await producer.send_and_wait(topic, line.value, line.key, partition=0, timestamp_ms=line.timestamp)


async def story(stage: Scene) -> list[tuple[str, str]]:
    bodies = [json.loads(each.value) for each in await stage.read(stage.transitions)]
    return [(each["user_id"], each["event"]) for each in bodies]


async def until_told(stage: Scene, *expected: tuple[str, str]) -> None:
    async def is_told() -> bool:
        return await story(stage) == list(expected)

    await stage.until(is_told, f"the transitions are {expected}", 30)


async def warnings_of(worker: Worker) -> dict[str, str]:
    _, body = await worker.get("/readyz?verbose")
    return {each["code"]: each["text"] for each in body["warnings"]}


async def lag_of(worker: Worker, topic: str) -> float:
    _, text = await worker.get("/metrics")
    (line,) = (
        each
        for each in text.splitlines()
        if each.startswith(f'turnstile_lag_records{{partition="0",topic="{topic}"')
    )
    return float(line.split()[-1])


async def test_a_transaction_counts_when_it_is_committed_and_time_waits_for_it(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic_prefix) as other,
    ):
        await stage.define(LONGER)
        worker = stage.worker(worker__stall_seconds=8)
        worker.start()
        await worker.wait_ready()
        await produce(stage.producer, stage.events, "ann")
        await until_told(stage, ("ann", "enter"))
        await other.begin_transaction()
        await produce(other, stage.events, "bob")
        began_ms = now_ms()
        await produce(stage.producer, stage.events, "cid")
        # For longer than the stall: a transaction that somebody else keeps open is no reason to end.
        await asyncio.sleep(10)
        assert await story(stage) == [("ann", "enter")]
        (clock,) = (await worker.clocks()).values()
        assert clock * 1000 <= began_ms
        text = (await warnings_of(worker))["open_transaction"]
        assert f"2 records of {stage.events}/0" in text
        assert await lag_of(worker, stage.events) == 0
        await other.commit_transaction()
        told = [("ann", "enter"), ("bob", "enter"), ("cid", "enter")]
        told += [("ann", "exit"), ("bob", "exit"), ("cid", "exit")]
        await until_told(stage, *sorted(told, key=lambda each: each[1]))
        await stage.until(lambda: _is_quiet(worker), "the warning is gone")
        # An aborted one at the end of the log: neither counted nor in the way.
        await other.begin_transaction()
        await produce(other, stage.events, "dan")
        await other.abort_transaction()
        aborted_ms = now_ms()

        async def time_passes() -> bool:
            return all(clock * 1000 > aborted_ms for clock in (await worker.clocks()).values())

        await stage.until(time_passes, "time passes", 20)
        await produce(stage.producer, stage.events, "eve")
        await stage.until(lambda: stage.is_past(stage.transitions, 7), "eve entered", 20)
        assert [user for user, event in await story(stage) if event == "enter"] == [
            "ann",
            "bob",
            "cid",
            "eve",
        ]
        assert await lag_of(worker, stage.events) == 0
        worker.stop()


async def _is_quiet(worker: Worker) -> bool:
    return "open_transaction" not in await warnings_of(worker)


async def test_read_uncommitted_takes_them_at_once(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic_prefix) as other,
    ):
        await stage.define(BRIEF)
        worker = stage.worker(kafka__isolation_level="read_uncommitted")
        worker.start()
        await worker.wait_ready()
        await other.begin_transaction()
        await produce(other, stage.events, "bob")
        await until_told(stage, ("bob", "enter"), ("bob", "exit"))
        await other.abort_transaction()
        worker.stop()


async def test_a_deliverer_sends_what_is_committed(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with (
        delivery_scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        receiver() as hook,
        AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic_prefix) as other,
    ):
        await stage.define(f"{{name: crm, kind: webhook, webhook: {{url: '{hook.url}'}}}}")
        deliverer = stage.deliverer()
        deliverer.start()

        async def is_running() -> bool:
            return (await deliverer.status("crm"))["state"] == "running"

        await until(is_running, "it runs", 40, [deliverer])

        async def write(seqs: Iterable[int]) -> None:
            for seq in seqs:
                value, headers = encode_transition(transition("u1", seq))
                await other.send_and_wait(stage.transitions, value, b"u1", partition=0, headers=headers)

        await other.begin_transaction()
        await write([1, 2])
        await other.abort_transaction()
        await other.begin_transaction()
        await write([3, 4])
        await asyncio.sleep(2)
        assert hook.taken == []
        await other.commit_transaction()
        await until(lambda: len(hook.taken) == 2, "two came", 20, [deliverer])
        assert [each["seq"] for each in hook.taken] == [3, 4]

        async def has_no_lag() -> bool:
            return (await deliverer.status("crm"))["lag"] == 0

        await until(has_no_lag, "no lag: control records are nothing to deliver", 20, [deliverer])
        deliverer.end()


async def test_the_embedded_broker_serves_those_who_read_what_is_committed(
    embedded: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(embedded, topic_prefix, tmp_path, partitions=1, idempotence=False) as stage:
        await stage.define(BRIEF)
        worker = stage.worker(kafka__idempotence=False)
        worker.start()
        await worker.wait_ready()
        await produce(stage.producer, stage.events, "ann")
        await until_told(stage, ("ann", "enter"), ("ann", "exit"))
        assert not worker.logged("kafka_lost")
        worker.stop()
