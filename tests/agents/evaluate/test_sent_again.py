"""What a kill sends again: the outputs in flight, all of them, and none that an earlier commit cycle sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agents.evaluate.commits import Committer
from agents.evaluate.evaluator import Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.evaluate.transitions import transition_id
from agents.kafka.membership import MembershipLost
from agents.kafka.placement import Place
from agents.topics.written import WrittenTopics
from tables.codec import CHECKPOINT_KEY, decode_outbox
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.evaluators import Clock, crash
from tests.driver.driver import Crash, Driver, Rec
from tests.driver.kafka import Batch, MemoryKafka
from tests.stage.compare import rules_of
from tests.stage.log import START_MS, view

T = 1_700_000_000_000
SEEN = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"
FEW = Limits(step_transitions=500)


class SlowKafka(MemoryKafka):
    """Each produce request takes its time, so that the next cycle is computed meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[int] = []
        """After each write to the changelog, how many that are in Kafka would be sent again."""

    def create_batch(self) -> Batch:
        batch: Batch = self.producer.create_batch()
        return batch

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        await asyncio.sleep(0.01)
        sent = await self.producer.send_batch(batch, topic, partition=partition)
        if topic == "changelog":
            there = {json.loads(each.value or b"")["id"] for each in self.log("transitions", 0).records}
            self.again.append(len(there & self.unsent()))
        return sent

    def unsent(self) -> set[str]:
        return {
            transition_id(each.project, each.audience, each.user_id, each.seq)
            for each in self.changelog("changelog").unsent()
        }


def made(may_write: Callable[[], bool] = lambda: True) -> tuple[Evaluator, SlowKafka]:
    kafka = SlowKafka()
    topics = WrittenTopics("changelog", "transitions", "rekeyed", 1, 1)
    listener = SimpleNamespace(step_done=lambda *_: None)
    committer = Committer(kafka, topics, listener, may_write=may_write)  # type: ignore[arg-type]
    evaluator = Evaluator(committer, Clock(), 0, crash)
    evaluator.define(rules_of(SEEN))
    evaluator.adopt({0: Pipeline(Place(0, 1, "rekeyed"), Profiles(MemoryStore(), 10**6, 10**5), FEW)})
    evaluator.paused = False
    return evaluator, kafka


def records(first: int, number: int) -> list[Rec]:
    lines = [view(f"u{at}", START_MS + at) for at in range(first, first + number)]
    return [
        Rec("events", 0, first + at, each.timestamp, each.key, each.value) for at, each in enumerate(lines)
    ]


async def test_with_a_backlog_only_the_round_in_flight_would_be_sent_again() -> None:
    evaluator, kafka = made()
    acked: list[int] = []
    for first in range(0, 5_000, 1_000):
        await evaluator.take(0, records(first, 1_000), lambda first=first: acked.append(first))  # type: ignore[misc]
    evaluator.start()
    await evaluator.drain()
    assert acked == [*range(0, 5_000, 1_000)]
    assert len(kafka.again) > 8
    assert set(kafka.again) == {0}
    assert kafka.log("transitions", 0).end == 5_000
    assert await idle(kafka) == set()
    await evaluator.abort()


async def idle(kafka: SlowKafka) -> set[str]:
    """What would be sent again when nothing has happened for a moment."""
    for _ in range(40):
        await asyncio.sleep(0.05)
        if not kafka.unsent():
            break
    return kafka.unsent()


async def test_an_idle_worker_notes_once_what_is_acknowledged() -> None:
    evaluator, kafka = made()
    evaluator.start()
    for first in (0, 10):  # the sweep's steps are over when the second ones come
        await evaluator.take(0, records(first, 10), lambda: None)
        await evaluator.drain()
        assert await idle(kafka) == set()
    written = kafka.log("changelog", 0).end
    await asyncio.sleep(0.2)
    assert kafka.log("changelog", 0).end == written
    await evaluator.abort()


async def test_who_lost_its_membership_notes_nothing_and_may_go_on() -> None:
    member = [True]

    def may_write() -> bool:
        if not member:
            raise MembershipLost
        return True

    evaluator, kafka = made(may_write)
    evaluator.start()
    for first in range(0, 1_000, 10):
        await evaluator.take(0, records(first, 10), lambda: None)
        await evaluator.drain()
        if evaluator.tasks[0].pipeline.outgoing.is_unnoted:
            break  # otherwise a busy machine was idle for a moment, in which it was noted
    written = kafka.log("changelog", 0).end
    evaluator.paused = True
    member.clear()
    await evaluator.hand_over()
    assert kafka.log("changelog", 0).end == written
    member.append(True)
    await evaluator.hand_over()
    assert kafka.log("changelog", 0).end == written + 1
    await evaluator.abort()


RECENT = "{id: recent, name: Recent, rule: {event: buy, within: 1h}}"
HOUR = 3_600_000


@pytest.mark.parametrize("outbox_bytes", [None, 300])
@pytest.mark.parametrize("compact", [False, True])
def test_a_users_later_row_brings_the_transitions_of_its_earlier_steps(
    outbox_bytes: int | None, compact: bool
) -> None:
    """Two steps of a commit cycle change one row; compaction takes the record of the first."""
    driver = Driver(RECENT, in_flight=1, cycle_steps=2, outbox_bytes=outbox_bytes)
    driver.send({"user_id": "ann", "event": "buy"}, T)
    driver.send({"user_id": "ann", "event": "view"}, T + 2 * HOUR)
    driver.crash_after(len(_changelog_of(outbox_bytes)))
    with pytest.raises(Crash):
        driver.run(lambda: 1)
    assert driver.transitions == []
    driver.restart(lose_store=True, compact=compact)
    assert [each["event"] for each in driver.transitions] == ["enter", "exit"]
    driver.run()
    assert len(driver.transitions) == 2


def _changelog_of(outbox_bytes: int | None) -> list[object]:
    """What the commit cycle above writes to the changelog, without a crash."""
    driver = Driver(RECENT, in_flight=1, cycle_steps=2, outbox_bytes=outbox_bytes)
    driver.send({"user_id": "ann", "event": "buy"}, T)
    driver.send({"user_id": "ann", "event": "view"}, T + 2 * HOUR)
    driver.run(lambda: 1)
    assert len(driver.transitions) == 2
    return [*driver.parts[0].changelog]


def test_a_store_never_notes_an_offset_whose_rows_it_lacks() -> None:
    """The rows of a commit cycle go to the store together, because it notes the offset after all of them."""
    driver = Driver(RECENT, in_flight=2, cycle_steps=3, behind_rows=0)
    users = ["ann", "bob", "cy"]
    for number, user in enumerate(users):
        driver.send({"user_id": user, "event": "buy"}, T + number)
    driver.crash_after(9 + 3 + 1)  # three steps, three transitions, one write to the store
    with pytest.raises(Crash):
        driver.run(lambda: 1)
    driver.restart()
    assert [driver.members(user, T + 5) for user in users] == [{"recent": T + at} for at in range(3)]


def test_what_is_acknowledged_is_in_no_later_outbox() -> None:
    driver = Driver(RECENT, limits=Limits(max_attributes_bytes=200))
    driver.track("ann", "buy", T)
    driver.profile("ann", T + 1, set={"p": "y" * 300})
    assert driver.codes() == ["attributes_too_large"]
    driver.track("ann", "view", T + 2 * HOUR)
    (exited,) = [each for each in driver.parts[0].changelog if each[1] == b"ann"][-1][3]
    assert [each.is_enter for each in decode_outbox(exited[1]).transitions] == [False]
    assert not [each for each in driver.parts[0].changelog if each[1] == CHECKPOINT_KEY][-1][3]


def test_a_refused_record_is_not_lost_when_its_row_takes_later_ones() -> None:
    """The row says that offset 2 is applied, so offset 1 is not looked at again after the crash."""
    driver = Driver(RECENT, limits=Limits(max_attributes_bytes=200))
    driver.send({"user_id": "ann", "event": "buy"}, T)
    driver.send({"user_id": "ann", "type": "profile", "set": {"p": "y" * 300}}, T + 1)
    driver.send({"user_id": "ann", "event": "view"}, T + 2)
    driver.crash_after(3)  # the changelog: checkpoint, row, end checkpoint
    with pytest.raises(Crash):
        driver.run()
    assert driver.dead == []
    driver.restart(lose_store=True, compact=True)
    driver.run()
    assert driver.codes() == ["attributes_too_large"]
