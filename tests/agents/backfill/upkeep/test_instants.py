"""When a compute instant of a batch audience is behind a partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from agents.backfill.upkeep.instants import Instants
from agents.evaluate.pipeline import Pipeline
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.parse.definitions import load_definitions

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
ACTIVE = {"default/daily": 1, "default/fans": 1}
TEXT = """
audiences:
  - {id: daily, name: Daily, type: batch, schedule: daily, rule: {event: view}}
  - {id: fans, name: Fans, rule: {event: view}}
"""


def rules() -> RuleSet:
    found = load_definitions([("a.yaml", TEXT)])
    return compile_rules([PublishedAudience(each, 1) for each in found])


@dataclass
class Partition:
    """What is looked at of a partition's pipeline between two steps."""

    stream_time_ms: int = START_MS + 1000
    overdue: bool = False
    step: int = 7
    outgoing: Any = field(default_factory=lambda: SimpleNamespace(acked_step=7))
    rules: RuleSet = field(default_factory=rules)

    def passed(self, instants: Instants, active: dict[str, int] = ACTIVE) -> dict[str, int]:
        return dict(instants.passed(cast(Pipeline, self), active))


def test_the_latest_instant_is_told_once_and_the_next_one_when_stream_time_comes_to_it() -> None:
    instants, partition = Instants(), Partition()
    assert partition.passed(instants) == {"default/daily": START_MS}
    assert partition.passed(instants) == {}
    partition.stream_time_ms = START_MS + DAY_MS - 1
    assert partition.passed(instants) == {}
    partition.stream_time_ms += 1
    assert partition.passed(instants) == {"default/daily": START_MS + DAY_MS}


def test_an_instant_is_behind_only_when_all_its_timers_fired_and_kafka_has_what_came_of_it() -> None:
    instants, partition = Instants(), Partition(overdue=True)
    assert partition.passed(instants) == {}
    partition.overdue, partition.step = False, 8
    assert partition.passed(instants) == {}
    partition.stream_time_ms += 2 * DAY_MS  # not yet decided as of now
    partition.overdue, partition.step = True, 9
    assert partition.passed(instants) == {}
    partition.outgoing.acked_step = 8
    assert partition.passed(instants) == {"default/daily": START_MS}
    partition.overdue, partition.outgoing.acked_step = False, 9
    assert partition.passed(instants) == {"default/daily": START_MS + 2 * DAY_MS}


def test_other_versions_are_told_anew_and_without_batch_audiences_there_is_nothing() -> None:
    instants, partition = Instants(), Partition()
    assert partition.passed(instants) == {"default/daily": START_MS}
    assert partition.passed(instants, dict(ACTIVE)) == {"default/daily": START_MS}
    assert partition.passed(instants, {"default/fans": 1}) == {}
