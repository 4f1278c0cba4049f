"""The days that a cron expression names, against ``croniter``, which is asked for each day by itself."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rules.time.cron import read_cron
from tests.rules.time.crons import cron_of
from tests.strategies.fuzzing import usual

DAY = timedelta(days=1)


def croniter_has(cron: str, day: date) -> bool:
    midnight = datetime(day.year, day.month, day.day)
    return croniter(cron, midnight - timedelta(seconds=1)).get_next(datetime).date() == day


@settings(max_examples=usual(500), deadline=None)
@given(
    st.integers(0, 2**48).map(lambda seed: cron_of(Random(seed))),
    st.dates(date(1800, 1, 1), date(2300, 1, 1)),
)
def test_a_table_has_the_days_that_croniter_has(cron: str, day: date) -> None:
    try:
        table = read_cron(cron)
        days = [day + number * DAY for number in range(10)]
        assert [table.has(each) for each in days] == [croniter_has(cron, each) for each in days]
        first = croniter(cron, datetime(day.year, day.month, day.day))
        times = [first.get_next(datetime) for _ in range(3)]
    except CroniterBadDateError:
        assume(False)
        return
    assert {(each.hour * 60 + each.minute) for each in times} <= set(table.minutes)


@settings(max_examples=usual(300), deadline=None)
@given(
    st.integers(0, 2**48).map(lambda seed: cron_of(Random(seed))),
    st.dates(date(1800, 1, 1), date(2300, 1, 1)),
)
def test_no_day_is_passed_over(cron: str, day: date) -> None:
    table = read_cron(cron)
    following = table.day(day, 1)
    between = [day + number * DAY for number in range(1, 70)]
    found = [each for each in between if table.has(each)]
    assert following == found[0] if found else following is None or following > between[-1]
    if following is not None:
        before = table.day(following, -1)
        assert before is None or before <= day


@pytest.mark.parametrize(
    ("cron", "after", "following"),
    [
        ("0 0 1,30 * *", "2023-02-05", "2023-03-01"),
        ("0 0 l * *", "2024-02-05", "2024-02-29"),
        ("0 0 * * mon#5", "2024-02-05", "2024-04-29"),
        ("0 0 * * l5", "2024-02-24", "2024-03-29"),
        ("0 0 13 * 5", "2024-09-06", "2024-09-13"),
        ("0 0 29 2 *", "2097-01-01", "2104-02-29"),
    ],
)
def test_the_next_day(cron: str, after: str, following: str) -> None:
    assert read_cron(cron).day(date.fromisoformat(after), 1) == date.fromisoformat(following)


@pytest.mark.parametrize(("end", "step"), [(date.max, 1), (date.min, -1)])
def test_days_end_where_time_does(end: date, step: int) -> None:
    assert read_cron("0 0 * * *").day(end, step) is None
