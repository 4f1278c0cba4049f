"""How far stores stay behind while a worker evaluates."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from agents.evaluate.commits import Committer
from agents.evaluate.evaluator import CALM_BEHIND_ROWS, Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place, partition_of
from agents.topics.written import WrittenTopics
from tables.profiles import Profiles
from tables.store import MemoryStore, Write
from tests.driver.driver import Rec
from tests.stage.compare import rules_of
from tests.stage.log import START_MS, view

TASKS = 3
RULES = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"


class Store(MemoryStore):
    """Counts the rows of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    def write(self, change: Write) -> None:
        self.writes.append(len(change.rows))
        super().write(change)


class Producer:
    """Acknowledges at once."""

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: object(), close=lambda: None, record_count=lambda: 1)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=0))
        return sent


class Clock:
    def wall_ms(self) -> int:
        return START_MS

    def caught_up_ms(self, partition: int) -> int | None:
        return None


def crash(error: BaseException) -> None:
    raise error


def made() -> tuple[Evaluator, list[Store]]:
    stores = [Store() for _ in range(TASKS)]
    listener = SimpleNamespace(step_done=lambda *_: None)
    topics = WrittenTopics("changelog", "transitions", "rekeyed", TASKS, TASKS)
    committer = Committer(Producer(), topics, listener)  # type: ignore[arg-type]
    evaluator = Evaluator(committer, Clock(), 0, crash)
    evaluator.define(rules_of(RULES))
    evaluator.adopt(
        {
            each: Pipeline(Place(each, TASKS, "rekeyed"), Profiles(store, 10**6, 10**5), Limits())
            for each, store in enumerate(stores)
        }
    )
    evaluator.paused = False
    return evaluator, stores


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
    evaluator, stores = made()
    evaluator.start()
    for batch in batches(0, 2_000):
        await evaluator.take(0, batch, lambda: None)
        await evaluator.drain()
        assert evaluator.tasks[0].pipeline.profiles.durable_rows <= CALM_BEHIND_ROWS
    await evaluator.abort()
    assert len(stores[0].writes) == 3
    assert max(stores[0].writes) <= CALM_BEHIND_ROWS + 100


async def test_with_plenty_waiting_they_are_written_in_large_ones() -> None:
    evaluator, stores = made()
    for partition in range(TASKS):
        for batch in batches(partition, 8_000):
            await evaluator.take(partition, batch, lambda: None)
    evaluator.start()
    await evaluator.drain()
    await evaluator.abort()
    assert [store.writes for store in stores] == [[8_000]] * TASKS
