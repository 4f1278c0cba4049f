"""Sending notices: a receiver that is down, slow, that refuses; a kill in every moment."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from agents.deliver.contract.outcomes import DELIVERED, Outcome, Rejected, Retry
from agents.deliver.definitions.destination import RetryPolicy
from agents.kafka.consumed import Consumed
from agents.notices import teller as module
from agents.notices.addresses import NotifyAddress, SendMode
from agents.notices.notes import Note, Notes, note_record
from agents.notices.notice import NoticeKey
from agents.notices.teller import Teller, Told
from agents.warnings import Warnings
from tests.agents.notices.known import DAILY, FANS, NOW_MS, Fed

FAST = RetryPolicy(first_ms=1, most_ms=10)
DOWN = Retry("unreachable", "no connection", whole=True)


@dataclass
class Stage:
    """A topic of notes and a receiver that outlive the processes that tell."""

    mode: SendMode
    answers: list[Callable[[], Outcome]] = field(default_factory=list)
    """What the receiver does with the next requests; then it takes all."""
    refused: str = ""
    """The code of notices that it never takes."""
    requests: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = Fed()
        self.known.addresses["default"] = NotifyAddress("n", "https://h.example", "API_KEY", self.mode)
        self.records: list[tuple[bytes, bytes | None]] = []
        self.hangs = asyncio.Event()
        self.told = Told()
        self.warnings = Warnings()
        self.retry = FAST

    async def write(self, notes: Sequence[tuple[NoticeKey, Note | None]], /) -> None:
        self.records += [note_record(*each) for each in notes]

    async def post(self, project: str, address: NotifyAddress, notice: NoticeKey, body: bytes) -> Outcome:
        assert json.loads(body)["notice_id"] == notice.id
        self.requests.append(notice.code)
        if notice.code == self.refused:
            return Rejected("http_422", "no")
        outcome = self.answers.pop(0)() if self.answers else DELIVERED
        if outcome is HANG:
            self.taken.append(notice.code)  # it has it, and nobody will ever know
            self.hangs.set()
            await asyncio.sleep(60)
        if outcome is DELIVERED:
            self.taken.append(notice.code)
        return outcome

    def notes(self) -> Notes:
        read = Notes("t")
        for offset, (key, value) in enumerate(self.records):
            read.take(Consumed("t", 0, offset, 0, key, value, []))
        return read

    def process(self) -> asyncio.Task[None]:
        """One more process that tells; cancel it to kill it."""
        made = Teller(
            self.known,
            self.notes(),
            self.write,
            self.post,
            2,
            600_000,
            self.retry,
            self.told,
            self.warnings,
            lambda: NOW_MS + 1000,
        )
        return asyncio.create_task(made.run())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.005)


HANG = Retry("hang", "")


async def kill(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)


def three_to_tell(stage: Stage) -> None:
    for text, name in ((FANS, "fans"), (DAILY, "daily")):
        stage.known.publish(text)
        stage.known.tell(name, 1, "ready", "ready")


ALL = ["BATCH_AUDIENCE_COMPUTE_SUCCESS", "BATCH_AUDIENCE_QUERY_READY", "REALTIME_AUDIENCE_QUERY_READY"]


async def test_each_is_sent_once_however_often_processes_come_and_go() -> None:
    stage = Stage("RETRYABLE")
    three_to_tell(stage)
    for _ in range(3):
        task = stage.process()
        await stage.until(lambda: stage.told.outcomes["sent"] == 3)
        await asyncio.sleep(0.03)
        await kill(task)
    assert stage.taken == ALL
    stage.known.publish(FANS.replace("view", "buy"), version=2)
    stage.known.tell("fans", 2, "ready", "ready")
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["sent"] == 4)
    await kill(task)


async def test_a_receiver_that_is_down_gets_each_one_after_all_and_is_asked_for_one_at_a_time() -> None:
    stage = Stage("RETRYABLE", answers=[lambda: DOWN] * 6)
    three_to_tell(stage)
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["sent"] == 3)
    await kill(task)
    assert sorted(stage.taken) == ALL
    assert stage.told.retries == 6
    assert stage.warnings.totals["notices_unsent"] == 6


async def test_one_that_is_refused_doesnt_hold_up_the_others_and_is_given_up_at_last() -> None:
    stage = Stage("RETRYABLE", refused=ALL[0])
    stage.retry = RetryPolicy(for_ms=300, first_ms=20, most_ms=50)
    three_to_tell(stage)
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["given_up"] == 1)
    await kill(task)
    assert stage.taken == ALL[1:]


async def test_a_kill_while_it_is_sent_sends_a_retryable_one_again() -> None:
    stage = Stage("RETRYABLE", answers=[lambda: HANG])
    three_to_tell(stage)
    task = stage.process()
    await stage.hangs.wait()
    await kill(task)
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["sent"] == 3)
    await kill(task)
    assert sorted(Counter(stage.taken).items()) == [(ALL[0], 2), (ALL[1], 1), (ALL[2], 1)]
    assert stage.told.outcomes["lost"] == 0


async def test_a_kill_while_it_is_sent_never_sends_one_twice_that_is_sent_once_and_counts_it() -> None:
    stage = Stage("ONLY_ONCE_UNSPECIFIED", answers=[lambda: HANG, lambda: DOWN])
    three_to_tell(stage)
    task = stage.process()
    await stage.hangs.wait()
    await kill(task)
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["sent"] == 1)
    await asyncio.sleep(0.03)
    await kill(task)
    assert sorted(stage.requests) == ALL
    assert stage.told.outcomes == {"sent": 1, "lost": 2, "given_up": 0}
    assert stage.warnings.totals["notice_lost"] == 2


async def test_an_address_that_is_taken_away_gets_nothing_more() -> None:
    stage = Stage("RETRYABLE", answers=[lambda: DOWN] * 1000)
    three_to_tell(stage)
    task = stage.process()
    await stage.until(lambda: len(stage.requests) > 1)
    stage.known.addresses.clear()
    await asyncio.sleep(0.03)
    asked = len(stage.requests)
    await asyncio.sleep(0.05)
    await kill(task)
    assert len(stage.requests) == asked


async def test_notes_of_instants_and_versions_that_are_over_are_forgotten() -> None:
    stage = Stage("RETRYABLE")
    three_to_tell(stage)
    day = 86_400_000
    old = NOW_MS - 7_200_000 - 5 * day
    keys = [
        NoticeKey("default", "daily", None, old + at * day, "BATCH_AUDIENCE_QUERY_READY") for at in range(3)
    ]
    gone = NoticeKey("default", "gone", 4, None, "REALTIME_AUDIENCE_QUERY_READY")
    stage.records = [note_record(key, Note("sent", 0)) for key in (*keys, gone)]
    task = stage.process()
    await stage.until(lambda: stage.told.outcomes["sent"] == 3)
    await kill(task)
    left = {key for key in stage.notes().published if key.version != 1}
    assert left == {keys[-1]}
