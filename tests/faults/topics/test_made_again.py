"""Topics deleted or made again under a worker: it stops and says why and what mends it."""

from __future__ import annotations

import sys
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.kafka.placement import partition_of
from agents.topics.noted import changed_records
from app.kafka.embedded import start_tied
from tables.codec import CHECKPOINT_KEY, record_print
from tests.faults.topics.lab import (
    SEEN,
    SOON,
    THRICE,
    USERS,
    command,
    one_worker,
    refused,
    remake,
    rows,
    send,
    transitions,
    worked,
)
from tests.stage.log import view
from tests.stage.scene import KEPT, Scene
from tests.stage.workers import environment


async def test_a_source_made_again_and_longer_stops_the_start_until_it_is_accepted(stage: Scene) -> None:
    worker = await worked(stage, THRICE, times=2)
    before = rows(worker)
    await remake(stage, stage.events, stage.partitions, **KEPT)
    await send(stage, times=3)
    said = await refused(stage, worker)
    assert f"{stage.events} was deleted and made again" in said
    assert f"turnstile topics accept {stage.events}" in said
    assert rows(worker) == before
    assert command(stage, "topics", "check").returncode == 1
    accepted = command(stage, "topics", "accept", stage.events)
    assert accepted.returncode == 0, accepted.stderr
    worker.start()
    await stage.finished()
    worker.stop()
    assert {each["user_id"] for each in await transitions(stage)} == set(USERS)
    again = command(stage, "topics", "accept", stage.events)
    assert "nothing to accept" in again.stdout
    assert command(stage, "topics", "check").returncode == 0


async def test_records_of_a_source_made_again_that_come_by_another_partition_count_too(stage: Scene) -> None:
    await stage.define(THRICE)
    wrong = 1 - partition_of("ann", 2)
    await stage.send(wrong, [view("ann", int(time.time() * 1000)) for _ in range(2)])
    worker = one_worker(stage)
    worker.start()
    await stage.until(stage.is_committed, "all is committed")
    await stage.until(lambda: stage.is_past(stage.repartition, 2), "they are repartitioned")
    await stage.until(stage.is_committed, "all is committed")
    worker.stop()
    await remake(stage, stage.events, stage.partitions, **KEPT)
    await stage.send(wrong, [view("ann", int(time.time() * 1000))])
    assert command(stage, "topics", "accept", stage.events).returncode == 0
    worker.start()
    await stage.reach(1)
    worker.stop()


@pytest.mark.parametrize("topic", ["events", "changelog"])
async def test_a_topic_deleted_under_a_worker_stops_it(stage: Scene, topic: str) -> None:
    await stage.define(SEEN)
    await send(stage, 1)
    worker = stage.worker()
    worker.process = start_tied([sys.executable, "-c", SOON], worker.log_file, environment(worker.settings))
    process = worker.process
    await worker.wait_ready()
    await stage.until(stage.is_committed, "all is committed")
    name = {"changelog": stage.changelog}.get(topic, f"{stage.prefix}.{topic}")
    await remake(stage, name, None if topic == "events" else 2)
    await stage.until_ended(worker)
    assert process.returncode == 2, worker.log()
    said = worker.log().split("exit_after_crash")[-1]
    assert name in said
    assert "turnstile topics" in said
    assert "Traceback" not in said


async def test_without_topic_ids_the_last_record_taken_is_read_once_more(stage: Scene) -> None:
    at_ms = int(time.time() * 1000)
    await stage.send(0, [view(user, at_ms) for user in USERS])
    tp = TopicPartition(stage.events, 0)
    (_, *_, last) = await stage.read(stage.events)
    known = record_print(last.timestamp, last.key, last.value)
    for taken, is_changed in (
        ((last.offset, known), False),
        ((last.offset, known ^ 1), True),
        ((last.offset - 1, known), True),
        ((last.offset + 1, None), True),
    ):
        found = await changed_records(stage.consumer, {tp: taken}, [stage.events])
        assert (tp in found) is is_changed, taken
    await stage.admin.delete_records({tp: RecordsToDelete(before_offset=last.offset + 1)})
    assert not await changed_records(stage.consumer, {tp: (last.offset, 0)}, [stage.events])
    assert last.key != CHECKPOINT_KEY
