"""Sampled users, of whom only what concerns the rules is read, get what a whole log gives."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from agents.estimate.evaluate import Decided
from agents.estimate.interval import Sample
from agents.estimate.sampling import Clock, Effort, draw
from agents.evaluate.steps import Limits
from rules.compile.rule_set import RuleSet
from rules.state.dedupe import dedupe_of
from rules.state.row import Transition
from tests.agents.estimate.logs import compiled, everything, log_of
from tests.strategies.examples import Example, examples, record_body
from tests.strategies.histories import RECORDS

Json = Any
Stays = dict[tuple[str, str], list[int]]


@dataclass
class Transitions:
    """Takes all that is decided."""

    rules: tuple[RuleSet, ...]
    found: list[Transition] = field(default_factory=list)
    rows: int = 0
    blank: int = 0

    def add(self, decided: Sequence[Decided]) -> None:
        self.found += decided[0].transitions
        self.rows += len(decided[0].rows)
        self.blank += decided[0].blank.get("default", 0)

    def is_enough(self, sample: Sample) -> bool:
        return False


def stays(transitions: list[Transition]) -> Stays:
    """When each user is in each audience: instants at which that changes, in and out in turn.

    A timer that is due at the very instant of a record that isn't read is no other stay, only another cause.
    """
    found: Stays = defaultdict(list)
    for each in transitions:
        changes = found[each.user_id, each.audience]
        if changes and changes[-1] == each.at_ms:
            changes.pop()  # in and out at one instant
        else:
            changes.append(each.at_ms)
    return {key: changes for key, changes in found.items() if changes}


def bodies(example: Example) -> tuple[list[tuple[int, Json]], int]:
    at_ms, found = example.start_ms, []
    for number, (kind, *rest) in enumerate(example.history):
        if kind in RECORDS:
            at_ms += rest[1]
            body = record_body(kind, tuple(rest), at_ms, number)
            found.append((at_ms, body | {"user_id": f"{rest[0]}{number % 3}"}))
        elif kind == "advance":
            at_ms += rest[0]
    return found, at_ms


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(examples())
def test_sampled_users_get_the_transitions_of_a_whole_log(example: Example) -> None:
    rules = compiled(example.definitions, example.created_ms)
    given_bodies, end_ms = bodies(example)
    # Time goes back now and then: then other users' records decide at which instant a user's are applied.
    back = [(at_ms - 7 * (number % 5), body) for number, (at_ms, body) in enumerate(given_bodies)]
    log = log_of(back, partitions=2)
    at_ms = max([end_ms, *(at for at, _ in back)])
    limits = Limits(dedupe=dedupe_of(example.dedupe_ms, 1000))
    taken = Transitions((rules,))
    asyncio.run(draw(log, taken, limits, Clock(at_ms), Effort(kept_bytes=3_000)))
    assert stays(taken.found) == stays(everything(log, rules, at_ms, limits))
    last_types = {body["user_id"]: body.get("type") for _, body in given_bodies}
    assert taken.rows + taken.blank == sum(each != "delete" for each in last_types.values())
