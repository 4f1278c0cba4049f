"""An audience means the same whenever it was published (docs/semantics.md, section 8a): the pure pipeline."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.agents.evaluate.graft_runs import agree
from tests.strategies.examples import Example, examples
from tests.strategies.fuzzing import IS_FUZZING, examples_of, usual

NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
ALIKE = not IS_FUZZING
"""The same examples in each run: in one of some thousands a record without effect comes in the very
millisecond of a cut, and a timer of that millisecond is told with the cut or after it."""
WAYS = {"whole logs": {}, "history topics": {"history": True}, "trimmed logs": {"trims": True}}


@settings(max_examples=usual(50), derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_definitions_that_come_change_and_go_agree_with_those_there_from_the_start(example: Example) -> None:
    agree(example, Counter())


@settings(max_examples=usual(25), derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_history_topics_are_taken_in_as_if_they_had_come_first(example: Example) -> None:
    agree(example, Counter(), history=True)


@settings(max_examples=usual(25), derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_a_history_as_long_as_the_lookback_gives_the_same_members(example: Example) -> None:
    agree(example, Counter(), trims=True)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_late_definitions_agree_at_length(way: str) -> None:
    stats: Counter[str] = Counter()

    @settings(
        max_examples=examples_of(160),
        derandomize=ALIKE,
        deadline=None,
        suppress_health_check=NO_CHECKS,
    )
    @given(examples())
    def run(example: Example) -> None:
        agree(example, stats, **WAYS[way])

    run()
    assert stats["at cuts"] > stats["examples"] / 2, "publications move somebody"
