"""Conditions over calendar periods and days across changes of the clock, against ``naive``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions.build import build_condition
from rules.model import language
from tests.rules.conditions.naive_run import ConditionRun
from tests.rules.conditions.random_conditions import KINDS, aggregate_of, drawn
from tests.strategies.fuzzing import usual

HOUR = 3_600_000
DAY = 24 * HOUR
QUARTER = HOUR // 4


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


PLACES = [
    ("America/New_York", ms("2024-03-08T20:00-05:00")),
    ("America/New_York", ms("2024-11-01T20:00-04:00")),
    ("Asia/Shanghai", ms("2023-12-30T20:00+08:00")),
    ("Asia/Kathmandu", ms("2024-02-28T20:00+05:45")),
    ("America/Sao_Paulo", ms("2018-11-02T20:00-03:00")),
    ("Europe/Berlin", ms("2024-03-30T00:00+01:00")),
    ("Pacific/Apia", ms("2011-12-28T20:00-10:00")),
]
periods = st.one_of(
    st.sampled_from(
        [language.Period("day", 1, 0), language.Period("day", 1, 1), language.Period("week", 1, 0)]
    ),
    st.sampled_from(
        [language.Period("week", 1, 1), language.Period("month", 1, 0), language.Period("month", 1, 1)]
    ),
    st.just(language.Period("year", 1, 0)),
    st.builds(language.Period, st.sampled_from(["hour", "day"]), st.integers(1, 4), st.just(0)),
)
# How far the clock goes on, and how late the event is: mostly so that it lies near a boundary.
steps = st.one_of(
    st.integers(0, 40).map(lambda hours: hours * HOUR),
    st.tuples(st.integers(0, 30), st.sampled_from([-1, 0, 1])).map(lambda at: max(0, at[0] * HOUR + at[1])),
)
lates = st.one_of(st.just(0), st.just(0), st.just(1), st.integers(0, 60).map(lambda hours: hours * HOUR))
properties = st.fixed_dictionaries({"p": st.sampled_from([1, 2, 0.1, 0.2, -1, "a", None])})
logs = st.lists(st.tuples(steps, lates, st.just("x"), properties), min_size=2, max_size=7)


def check(source: Any, log: list[Any], place: tuple[str, int], days: int = 9) -> None:
    zone, now_ms = place
    run = ConditionRun(source, zone)
    for step, late, name, found in log:
        now_ms += step
        run.take(now_ms - late, name, found, now_ms)
    shift = 3 * QUARTER if zone == "Asia/Kathmandu" else 0  # its hours begin with another quarter
    first = now_ms - (now_ms + shift) % HOUR
    looks = {now_ms, *(first + at * HOUR + by for at in range(1, days * 24) for by in (-1, 0))}
    lengths = (3 * HOUR, 5 * HOUR, DAY, 2 * DAY, 3 * DAY)
    looks |= {event.ms + length + by for event in run.events for length in lengths for by in (-1, 0)}
    check_at(run, sorted(look for look in looks if look >= now_ms))


def check_at(run: ConditionRun, looks: list[int]) -> None:
    truths = [run.truth(at_ms) for at_ms in looks]
    assert [run.told(at_ms) for at_ms in looks] == truths
    flips = [looks[at] for at in range(1, len(looks)) if truths[at] != truths[at - 1]]
    after_ms = looks[0]
    for flip in flips:
        assert run.next_timer(after_ms) == flip
        after_ms = flip
    told = run.next_timer(after_ms)
    assert told is None or told > looks[-1]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("since")])
@settings(max_examples=usual(20), deadline=None)
@given(data=st.data())
def test_aggregates_over_calendar_periods(kind: str, data: st.DataObject) -> None:
    aggregate = data.draw(drawn(lambda dice: aggregate_of(dice, kind)))
    place = data.draw(st.sampled_from(PLACES))
    check(language.EventCondition(("x",), None, aggregate, data.draw(periods)), data.draw(logs), place)


@settings(max_examples=usual(30), deadline=None)
@given(
    logs,
    st.sampled_from(PLACES),
    st.sampled_from([None, language.Within(2 * DAY), language.BetweenAgo(3 * DAY, DAY)]),
    st.data(),
)
def test_days_are_those_of_the_zone(
    log: list[Any], place: tuple[str, int], window: Any, data: st.DataObject
) -> None:
    check(
        language.EventCondition(
            ("x",), None, data.draw(drawn(lambda dice: aggregate_of(dice, "days"))), window
        ),
        log,
        place,
    )


@settings(max_examples=usual(30), deadline=None)
@given(logs, st.sampled_from(PLACES), periods)
def test_patterns_in_calendar_periods(
    log: list[Any], place: tuple[str, int], period: language.Period
) -> None:
    x = language.EventPattern(("x",), None)
    check(
        language.Sequence((language.SequenceStep(x), language.SequenceStep(x, 5 * HOUR)), None, None, period),
        log,
        place,
    )
    none_after = language.NotFollowed(
        x, language.EventPattern(("x",), language.Test(("p",), "gt", 0)), 3 * HOUR, period
    )
    check(none_after, log, place)


@pytest.mark.parametrize("kind", ["sum", "avg", "min", "max", "first", "last", "distinct", "days", "count"])
def test_a_period_keeps_one_tally_however_many_events_come(kind: str) -> None:
    test = language.Test(("p",), "eq", 1) if kind in ("first", "last") else None
    bounds = () if test else (language.Comparison("gte", 3),)
    path = None if kind in ("days", "count") else ("p",)
    aggregate = language.Aggregate(kind, path, bounds, test)  # type: ignore[arg-type]
    run = ConditionRun(
        language.EventCondition(("x",), None, aggregate, language.Period("day", 3, 0)), "Asia/Shanghai"
    )
    for number in range(2000):
        run.take(PLACES[2][1] + number * 1000, "x", {"p": number % 7 * 0.1}, PLACES[2][1] + number * 1000)
    (state,) = run.row.conditions.values()
    assert len(state[0]) == len(state[1]) == 1
    assert run.built.dropped_samples == 0


@pytest.mark.parametrize(
    "source",
    [
        language.EventCondition(("x",), None, language.Aggregate("days", None, ()), None),
        language.EventCondition(
            ("x",), None, language.Aggregate("count", None, ()), language.Period("day", 1, 0)
        ),
        language.EventCondition(
            ("x",), language.Test(("p",), "anniversary", DAY), language.Aggregate("count", None, ()), None
        ),
        language.NotFollowed(
            language.EventPattern(("x",), None),
            language.EventPattern(("y",), None),
            1,
            language.Period("day", 1, 0),
        ),
    ],
)
def test_conditions_of_different_zones_share_state_only_where_the_zone_says_nothing(source: Any) -> None:
    plain = language.EventCondition(("x",), None, language.Aggregate("count", None, ()), language.Within(1))
    for each, shared in ((source, False), (plain, True)):
        keys = {
            build_condition("default", each, 1000, zone).key for zone in ("UTC", "Asia/Tokyo", "Asia/Seoul")
        }
        assert (len(keys) == 1) is shared
