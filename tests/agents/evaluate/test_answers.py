"""Which instant an owner's answer is about, and up to when records are surely in it (decision 50)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.evaluate.evaluator import Answer, Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.driver.driver import Rec
from tests.stage.compare import rules_of
from tests.stage.log import view

T = 1_790_000_000_000
GRACE_MS = 500


class Clock:
    """The wall says ``now_ms``; the source was seen to its end at ``seen_ms`` (None: there is a backlog)."""

    def __init__(self) -> None:
        self.now_ms = T
        self.seen_ms: int | None = None

    def wall_ms(self) -> int:
        return self.now_ms

    def caught_up_ms(self, partition: int) -> int | None:
        return self.seen_ms


@pytest.fixture
def held() -> tuple[Evaluator, Clock]:
    """One partition, whose stream time is ``T``."""
    clock = Clock()
    evaluator = Evaluator(None, clock, GRACE_MS, _crash)  # type: ignore[arg-type]
    evaluator.define(rules_of("audiences: [{id: ever, name: Ever, rule: {event: view}}]"))
    pipeline = Pipeline(Place(0, 1), Profiles(MemoryStore(), 1 << 30), Limits())
    evaluator.adopt({0: pipeline})
    evaluator.paused = False
    line = view("ann", T)
    pipeline.durable([pipeline.apply([Rec("events", 0, 0, line.timestamp, line.key, line.value)])])
    return evaluator, clock


def _crash(error: BaseException) -> None:
    raise error


def told(evaluator: Evaluator) -> Mapping[str, int | None]:
    answer = evaluator.answer_of(0)
    assert isinstance(answer, Answer)
    return {"at": answer.at_ms, "behind": answer.behind_ms, "records": answer.records_ms}


def test_time_is_decided_up_to_now_and_records_count_as_far_as_none_can_be_on_its_way(
    held: tuple[Evaluator, Clock],
) -> None:
    evaluator, clock = held
    clock.now_ms, clock.seen_ms = T + 3_000, T + 2_800
    assert told(evaluator) == {"at": T + 3_000, "behind": None, "records": T + 2_800 - GRACE_MS}
    clock.now_ms, clock.seen_ms = T + 100, T + 90
    assert told(evaluator) == {"at": T + 100, "behind": None, "records": T}, "a record moved stream time on"
    clock.now_ms, clock.seen_ms = T + 3_000, None
    assert told(evaluator) == {"at": T, "behind": None, "records": None}, "a backlog has a time of its own"


def test_while_partitions_move_who_has_one_answers_as_a_reader_and_not_for_ever(
    held: tuple[Evaluator, Clock],
) -> None:
    evaluator, clock = held
    evaluator.paused = True
    clock.now_ms = clock.seen_ms = T + 9_000
    assert told(evaluator) == {"at": T, "behind": 9_000, "records": None}
    clock.now_ms = T + 10_001
    assert evaluator.answer_of(0) is None
    clock.now_ms = T
    evaluator.is_over = True
    assert evaluator.answer_of(0) is None, "a failure may have left rows half changed"
