"""Nothing in an event's data raises out of a condition, or can't be stored (docs/semantics.md, section 7)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.time.durations import LONGEST_MS
from rules.time.instants import MAX_MS, MIN_MS
from tests.rules.conditions.naive_run import ConditionRun
from tests.rules.conditions.random_conditions import (
    KINDS,
    aggregate_of,
    drawn,
    not_followed_of,
    sequence_of,
    where_of,
    window_of,
)
from tests.strategies.fuzzing import usual

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 2**64, 1e308, -1e308, 5e-324, 1e290, "\0", "x" * 100]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["0001-01-01", "9999-12-31T23:59:59.999Z", "2024-02-30", "2024-01-01T00:00:00+23:59"]),
)
json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
properties = st.dictionaries(st.sampled_from(["p", "q"]), json)
instants = st.one_of(st.integers(MIN_MS, MAX_MS), st.sampled_from([MIN_MS, MAX_MS, -1, 0]))
periods = st.builds(
    language.Period,
    st.sampled_from(["hour", "day", "week", "month", "year"]),
    st.sampled_from([1, 7, 1200]),
    st.integers(0, 1),
)
far = st.builds(language.Within, st.just(LONGEST_MS))
dated = st.sampled_from(["older_than", "newer_than", "anniversary"])
dates = st.builds(language.Test, st.just(("p",)), dated, st.sampled_from([1, 86_400_000, LONGEST_MS]))
aggregates = drawn(lambda dice: aggregate_of(dice, dice.choice(KINDS)))
wheres = st.one_of(drawn(where_of), dates)
events = st.builds(
    language.EventCondition, st.just(("*",)), wheres, aggregates, st.one_of(drawn(window_of), periods, far)
)


@settings(max_examples=usual(200), deadline=None)
@given(
    st.one_of(events, drawn(sequence_of), drawn(not_followed_of)),
    st.lists(st.tuples(instants, instants, st.sampled_from("xyz"), properties), min_size=1, max_size=6),
    st.sampled_from(["UTC", "Pacific/Apia", "America/New_York"]),
)
def test_any_value_at_any_instant_is_taken(source: Any, log: list[Any], zone: str) -> None:
    run = ConditionRun(source, zone)
    now_ms = MIN_MS
    for one, other, name, found in log:
        now_ms = max(now_ms, one)
        run.take(min(other, now_ms), name, found, now_ms)  # stores the row and reads it back
        at_ms: int | None = now_ms
        for _ in range(4):
            assert at_ms is not None
            run.told(at_ms)
            following = run.next_timer(at_ms)
            assert following is None or following > at_ms
            at_ms = following if following is not None else at_ms + 1
