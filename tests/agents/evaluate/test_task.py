"""A task takes the records of several source partitions, one step for each run of one of them."""

from __future__ import annotations

import asyncio

import pytest

from agents.evaluate.commits import Work
from agents.evaluate.evaluator import TaskMissing
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.evaluate.task import Task
from agents.kafka.placement import Place, partition_of, table_partition
from tables.codec import source_key
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.evaluators import RULES, TASKS, evaluator_of_stores
from tests.driver.driver import Rec
from tests.stage.compare import rules_of
from tests.stage.log import START_MS, view

ANN = next(name for name in (f"u{number}" for number in range(99)) if partition_of(name, 4) == 1)


def records(partition: int, *offsets: int, topic: str = "events") -> list[Rec]:
    line = view(ANN, START_MS)
    return [Rec(topic, partition, each, line.timestamp, line.key, line.value) for each in offsets]


async def test_a_step_has_the_records_of_one_source_partition() -> None:
    # A row notes an offset per source partition, and only of records that changed it. With two of them in one
    # step a record without effect could come again after a crash, behind what had come after it.
    pipeline = Pipeline(Place(1, 4, "rekeyed"), Profiles(MemoryStore(), 1000), Limits())
    pipeline.define(rules_of(RULES))
    task, work = Task(pipeline), Work(pipeline)
    for batch in (records(1, 0), records(1, 1), records(5, 0), records(1, 2), records(5, 1, topic="more")):
        await task.offer(batch, lambda: None)
    await task.take_turn(work, lambda: False, 1000)
    assert [step.counts.applied for step in work.steps][:4] == [2, 1, 1, 1]
    assert work.steps[3].end_checkpoint.positions == {
        source_key("events", 1): 2,
        source_key("events", 5): 0,
        source_key("more", 5): 1,
    }


async def test_a_lookup_gets_its_turn_between_large_records() -> None:
    pipeline = Pipeline(Place(1, 4, "rekeyed"), Profiles(MemoryStore(), 1000), Limits())
    pipeline.define(rules_of(RULES))
    task, work = Task(pipeline), Work(pipeline)
    items = b"[" + b",".join([view(ANN, START_MS).value] * 5000) + b"]"
    await task.offer(
        [Rec("events", 1, each, START_MS, ANN.encode(), items) for each in range(8)], lambda: None
    )
    turn = asyncio.create_task(task.take_turn(work, lambda: False, 1000))
    turns = 0
    while not turn.done():
        await asyncio.sleep(0)
        turns += 1
    assert work.steps[0].counts.applied == 8 * 5000
    assert turns > 8, f"{8 * len(items)} bytes, {pipeline.slice_bytes} in a turn"


async def test_records_without_a_task_are_not_forgotten() -> None:
    evaluator, _ = evaluator_of_stores()
    with pytest.raises(TaskMissing, match=r"events/9, offsets 3 to 4, .* not 3"):
        await evaluator.take(TASKS, records(9, 3, 4), lambda: None)


def test_a_source_partition_has_one_place_for_good() -> None:
    assert [table_partition(each, 4) for each in range(12)] == [0, 1, 2, 3] * 3
    for number in range(
        500
    ):  # so that a topic whose number is a multiple of the table's needs no repartitioning
        assert table_partition(partition_of(f"u{number}", 12), 4) == partition_of(f"u{number}", 4)
