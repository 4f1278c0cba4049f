"""The order of one step's writes: changelog, outputs, store, ack; each waits for the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agents.evaluate.commits import Committer, Work
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.membership import MembershipLost
from agents.kafka.placement import Place
from agents.topics.written import WrittenTopics
from tables.profiles import Profiles
from tests.agents.evaluate.evaluators import RULES, NotingStore
from tests.driver.driver import Rec
from tests.stage.compare import rules_of
from tests.stage.log import START_MS, view


class WaitingProducer:
    """Notes what is sent; acknowledges when told to."""

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.waiting: list[asyncio.Future[Any]] = []

    def create_batch(self) -> Any:
        records: list[Any] = []
        return SimpleNamespace(
            append=lambda **record: records.append(record) or object(),
            close=lambda: None,
            record_count=lambda: len(records),
        )

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.done.append(topic)
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def acknowledge(self) -> None:
        while self.waiting:
            self.waiting.pop().set_result(SimpleNamespace(offset=0))


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def made(
    may_write: Callable[[], bool] = lambda: True,
) -> tuple[Pipeline, Committer, WaitingProducer, list[str]]:
    done: list[str] = []
    producer = WaitingProducer(done)
    pipeline = Pipeline(Place(0, 1, "rekeyed"), Profiles(NotingStore(done), 100), Limits())
    pipeline.define(rules_of(RULES))
    listener = SimpleNamespace(step_done=lambda *_: done.append("counted"))
    topics = WrittenTopics("changelog", "transitions", "rekeyed", 1, 1)
    committer = Committer(producer, topics, listener, may_write=may_write)  # type: ignore[arg-type]
    return pipeline, committer, producer, done


def records() -> list[Rec]:
    line = view("ann", START_MS)
    return [
        Rec("events", 0, 0, line.timestamp, line.key, line.value),
        Rec("events", 0, 1, line.timestamp, line.key, b"not json"),
    ]


async def test_each_write_waits_for_the_one_before() -> None:
    pipeline, committer, producer, done = made()
    step = pipeline.apply(records())
    commit = asyncio.create_task(committer.commit([Work(pipeline, [step], [lambda: done.append("ack")])]))
    await let_others_run()
    assert done == ["changelog"]
    producer.acknowledge()
    await let_others_run()
    # Both lots may be on their way at once; nothing follows before both are there.
    assert done[0] == "changelog"
    assert set(done[1:]) <= {"transitions", "events.dlq"}
    while "transitions" not in done or "events.dlq" not in done:
        producer.acknowledge()
        await let_others_run()
    if producer.waiting:
        assert "store" not in done
        assert "ack" not in done
    producer.acknowledge()
    await commit
    assert done[3:5] == ["store", "ack"]


async def test_a_changelog_that_fails_lets_nothing_out() -> None:
    pipeline, committer, producer, done = made()
    step = pipeline.apply(records())
    commit = asyncio.create_task(committer.commit([Work(pipeline, [step], [lambda: done.append("ack")])]))
    await let_others_run()
    producer.waiting.pop().set_exception(RuntimeError("no broker"))
    with pytest.raises(RuntimeError, match="no broker"):
        await commit
    assert done == ["changelog"]


async def test_a_worker_that_is_no_member_writes_nothing() -> None:
    member: list[bool] = [False]

    def may_write() -> bool:
        if not member:
            raise MembershipLost
        return member[0]

    pipeline, committer, _, done = made(may_write)
    step = pipeline.apply(records())
    commit = asyncio.create_task(committer.commit([Work(pipeline, [step], [lambda: done.append("ack")])]))
    await asyncio.sleep(0.15)
    assert done == []
    member[0] = True
    async with asyncio.timeout(60):
        while not done:
            await asyncio.sleep(0.01)
    assert done == ["changelog"]
    commit.cancel()
    member.clear()
    line = view("bob", START_MS)
    step = pipeline.apply([Rec("events", 0, 2, line.timestamp, line.key, line.value)])
    with pytest.raises(MembershipLost):
        await committer.commit([Work(pipeline, [step])])
    assert done == ["changelog"]
