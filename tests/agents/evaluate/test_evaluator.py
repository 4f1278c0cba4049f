"""How far stores stay behind while a worker evaluates."""

from __future__ import annotations

from agents.evaluate.evaluator import CALM_BEHIND_ROWS
from agents.kafka.placement import partition_of
from tests.agents.evaluate.evaluators import TASKS, evaluator_of_stores
from tests.driver.driver import Rec
from tests.stage.log import START_MS, view


def batches(partition: int, records: int) -> list[list[Rec]]:
    """Each record is another user's."""
    found: list[list[Rec]] = [[]]
    number = offset = 0
    while offset < records:
        number += 1
        if partition_of(f"u{number}", TASKS) != partition:
            continue
        if len(found[-1]) == 100:
            found.append([])
        line = view(f"u{number}", START_MS + offset)
        found[-1].append(Rec("events", partition, offset, line.timestamp, line.key, line.value))
        offset += 1
    return found


async def test_with_little_waiting_stores_are_written_in_small_lots() -> None:
    evaluator, stores = evaluator_of_stores()
    evaluator.start()
    for batch in batches(0, 2_000):
        await evaluator.take(0, batch, lambda: None)
        await evaluator.drain()
        assert evaluator.tasks[0].pipeline.profiles.durable_rows <= CALM_BEHIND_ROWS
    await evaluator.abort()
    assert len(stores[0].writes) == 3
    assert max(stores[0].writes) <= CALM_BEHIND_ROWS + 100


async def test_with_plenty_waiting_they_are_written_in_large_ones() -> None:
    evaluator, stores = evaluator_of_stores()
    for partition in range(TASKS):
        for batch in batches(partition, 8_000):
            await evaluator.take(partition, batch, lambda: None)
    evaluator.start()
    await evaluator.drain()
    await evaluator.abort()
    assert [store.writes for store in stores] == [[8_000]] * TASKS
