"""Conditions of every kind take events, decide and foresee as the Python ones, and leave the same bytes."""

from __future__ import annotations

from math import fsum
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from tests.core.pair import Pair, testing
from tests.rules.conditions.random_conditions import (
    KINDS,
    Log,
    T,
    aggregate_of,
    drawn,
    event_condition_of,
    log_of,
    names_of,
    small,
    where_of,
    window_of,
)
from tests.rules.conditions.test_take_anything import aggregates, dates, instants, properties
from tests.strategies.fuzzing import examples_of

HOUR_MS = 3_600_000
EVENING = T - T % (24 * HOUR_MS) + 21 * HOUR_MS
"""Periods begin a few hours later, at an instant of an event."""
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu"]
LISTED = [{"p": [{"n": 1}, {"n": 2.5}, {"n": 1}, 3, {"m": 1}]}, {"p": [{"n": "a"}, {"n": True}]}, {"p": 1}]


EXAMPLES = examples_of(600)
fewer = settings(max_examples=EXAMPLES // 4, deadline=None)
thorough = settings(max_examples=EXAMPLES, deadline=None)
"""Bugs of one kind over one window hide in few of the examples."""


def held(source: language.StateCondition, log: Log, begin_ms: int = T, stretch: int = 1, **more: Any) -> Pair:
    """Both take a log whose steps are of ``stretch`` ms, and agree after each event."""
    now_ms = begin_ms
    pair = Pair(source, begin_ms=begin_ms, **more)
    for step, late, name, found in log:
        now_ms += step * stretch
        pair.take(now_ms - late * stretch, name, found, now_ms)
        agree(pair, now_ms)
    return pair


def agree(pair: Pair, now_ms: int) -> None:
    """At the clock and around it, and whenever the value changes by time."""
    timer_ms: int | None = now_ms
    for _ in range(4):
        if timer_ms is None:
            return
        pair.agree(timer_ms - 1)
        timer_ms = pair.agree(timer_ms)


def fast_of(dice: Random) -> language.EventCondition:
    """Of the kinds that are written out for speed."""
    kind = dice.choice(["count", "count", "sum", "distinct"])
    window = dice.choice([None, language.Within(small(dice)), language.Within(small(dice))])
    return language.EventCondition(("x",), None, aggregate_of(dice, kind), window)


def numbers_of(dice: Random) -> Log:
    """Values that add up, come again in other shapes, and come late; much at the same instant."""
    values = dice.choice(
        ([0.1, 0.2, 0.3, 1e-9, 0.7], [1, 1.0, True, 2, "1"], [1, -1, 0, 0.5], [2**53, 1, 0.1, 3])
    )
    steps, late = dice.choice(([0, 1], [1, 2, 3], [0, 3, 6])), dice.choice(([0], [0, 1, 2], [0, 3, 6, 12]))
    chosen = dice.choices
    size = dice.randint(2, 16)
    return [
        (step, back, "x", {"p": value})
        for step, back, value in zip(
            chosen(steps, k=size), chosen(late, k=size), chosen(values, k=size), strict=True
        )
    ]


@thorough
@given(drawn(fast_of), drawn(numbers_of), st.sampled_from([1, 2, 3, 1000]))
def test_counts_sums_and_distinct_values(source: Any, log: Log, max_samples: int) -> None:
    held(source, log, max_samples=max_samples)


def ago_of(dice: Random) -> language.EventCondition:
    """Events wait before they count, and several of these wait at once."""
    near_ms = dice.choice([3, 6, 12])
    window = language.BetweenAgo(near_ms + dice.choice([1, 3, 12]), near_ms)
    return language.EventCondition(("x",), None, aggregate_of(dice, dice.choice(KINDS)), window)


@thorough
@given(drawn(ago_of), drawn(numbers_of), st.sampled_from([2, 5, 1000]))
def test_aggregates_of_events_that_wait(source: Any, log: Log, max_samples: int) -> None:
    held(source, log, max_samples=max_samples)


@thorough
@given(drawn(event_condition_of), drawn(log_of), st.sampled_from([1, 2, 3, 1000]))
def test_aggregates_over_windows(source: Any, log: Log, max_samples: int) -> None:
    held(source, log, max_samples=max_samples)


def period_of(dice: Random) -> language.EventCondition:
    unit: Any = dice.choice(["hour", "day", "week", "month", "year"])
    window = language.Period(unit, dice.randint(1, 3), dice.randint(0, 2))
    return language.EventCondition(
        names_of(dice), where_of(dice), aggregate_of(dice, dice.choice(KINDS)), window
    )


@thorough
@given(drawn(period_of), drawn(log_of), st.sampled_from(ZONES), st.sampled_from([HOUR_MS, 23 * HOUR_MS]))
def test_aggregates_over_calendar_periods(source: Any, log: Log, zone: str, stretch: int) -> None:
    held(source, log, EVENING, stretch, zone=zone)


def of_elements(dice: Random) -> language.EventCondition:
    kind = dice.choice(["sum", "avg", "min", "max", "distinct"])
    found = aggregate_of(dice, kind)
    aggregate = language.Aggregate(found.kind, ("p[]", "n"), found.comparisons)
    return language.EventCondition(("x",), None, aggregate, window_of(dice))


@fewer
@given(drawn(of_elements), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.sampled_from(LISTED))))
def test_aggregates_of_the_elements_of_lists(source: Any, log: list[Any]) -> None:
    held(source, [(step, late, "x", found) for step, late, found in log])


def since_entry_of(dice: Random) -> language.EventCondition:
    window = language.SinceEntry("members")
    return language.EventCondition(
        names_of(dice), where_of(dice), aggregate_of(dice, dice.choice(KINDS)), window
    )


@thorough
@given(drawn(since_entry_of), drawn(log_of), st.lists(st.integers(-1, 2), min_size=14, max_size=14))
def test_aggregates_since_an_entry(source: Any, log: Log, turns: list[int]) -> None:
    pair, now_ms = Pair(source, begin_ms=T), T
    for (step, late, name, found), turns_now in zip(log, turns, strict=False):
        now_ms += step
        for _ in range(turns_now):  # twice: out and in again at this very instant
            pair.turn(now_ms)
        pair.take(now_ms - late, name, found, now_ms)
        agree(pair, now_ms)


@fewer
@given(
    st.builds(
        language.EventCondition,
        st.just(("*",)),
        st.one_of(drawn(where_of), dates),
        aggregates,
        drawn(window_of),
    ),
    st.lists(st.tuples(instants, instants, properties), min_size=1, max_size=8),
)
def test_any_value_at_any_instant(source: Any, log: list[Any]) -> None:
    pair = Pair(source, max_samples=3)
    now_ms = pair.row.now_ms
    for one, other, found in log:
        now_ms = max(now_ms, one)
        pair.take(min(other, now_ms), "x", found, now_ms)
        agree(pair, now_ms)


numbers = st.one_of(
    st.floats(-1e6, 1e6),
    st.decimals(-1000, 1000, places=9).map(float),
    st.floats(allow_nan=False, allow_infinity=False, max_value=1e290, min_value=-1e290),
    st.integers(-(10**9), 10**9).map(lambda whole: (2 * whole + 1) / 2**10),
)


@fewer
@given(st.lists(numbers, max_size=12))
def test_sums_are_rounded_as_python_rounds(found: list[float]) -> None:
    assert repr(testing.fsum(found)) == repr(fsum(found))
    assert repr(testing.round_9(fsum(found))) == repr(round(fsum(found), 9))
