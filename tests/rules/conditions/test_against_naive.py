"""Every condition that keeps state, against an evaluation of every event at every instant (``naive``)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules.conditions.naive_run import check
from tests.rules.conditions.random_conditions import (
    KINDS,
    drawn,
    event_condition_of,
    log_of,
    not_followed_of,
    sequence_of,
    step_log_of,
)
from tests.strategies.fuzzing import usual

logs = drawn(log_of)
step_logs = drawn(step_log_of)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=usual(60), deadline=None)
@given(data=st.data())
def test_aggregates_over_windows(kind: str, data: st.DataObject) -> None:
    check(data.draw(drawn(lambda dice: event_condition_of(dice, kind))), data.draw(logs))


@settings(max_examples=usual(250), deadline=None)
@given(drawn(sequence_of), step_logs)
def test_sequences(source: Any, log: Any) -> None:
    check(source, log)


@settings(max_examples=usual(150), deadline=None)
@given(drawn(not_followed_of), step_logs)
def test_followed_by_nothing(source: Any, log: Any) -> None:
    check(source, log)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_many_aggregates_over_windows(kind: str, data: st.DataObject) -> None:
    check(data.draw(drawn(lambda dice: event_condition_of(dice, kind))), data.draw(logs))


@pytest.mark.slow
@settings(max_examples=2500, deadline=None)
@given(drawn(sequence_of), step_logs)
def test_many_sequences(source: Any, log: Any) -> None:
    check(source, log)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(drawn(not_followed_of), step_logs)
def test_many_followed_by_nothing(source: Any, log: Any) -> None:
    check(source, log)
