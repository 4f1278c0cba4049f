"""Calendar periods across changes of the clock, against a walk over the zone's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model.language import PeriodUnit
from rules.time.calendar import HOUR_MS, calendar_of
from rules.time.instants import MAX_MS, MIN_MS
from tests.strategies.fuzzing import usual

ZONES = [
    "UTC", "America/New_York", "Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe",
    "America/Havana", "Asia/Beirut", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "Africa/Cairo",
]  # fmt: skip
UNITS: list[PeriodUnit] = ["hour", "day", "week", "month", "year"]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def shown(zone: str, at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1987, 2011, 2018, 2024])
def test_days_begin_when_the_clock_first_reaches_them(zone: str, year: int) -> None:
    calendar = calendar_of(zone)
    at = ms(f"{year}-01-02T00:00:00+00:00")
    day = shown(zone, at).date()
    while day.year == year:
        day += timedelta(days=1)
        start = calendar.start("day", day.toordinal())
        assert shown(zone, start).date() >= day
        assert shown(zone, start - 1).date() < day
        assert calendar.period("day", start - 1) < day.toordinal()


@settings(max_examples=usual(300), deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(UNITS),
    st.integers(ms("1950-01-01T00:00+00:00"), ms("2040-01-01T00:00+00:00")),
)
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, unit: PeriodUnit, at_ms: int) -> None:
    calendar = calendar_of(zone)
    start, end, number = calendar.bounds(unit, at_ms)
    assert start <= at_ms < end
    assert (calendar.start(unit, number), calendar.start(unit, number + 1)) == (start, end)
    assert calendar.period(unit, start) == calendar.period(unit, end - 1) == number
    assert calendar.period(unit, start - 1) < number < calendar.period(unit, end)


@pytest.mark.parametrize(
    ("zone", "unit", "at", "start", "end"),
    [
        (
            "America/New_York",
            "day",
            "2024-03-10T12:00-04:00",
            "2024-03-10T00:00-05:00",
            "2024-03-11T00:00-04:00",
        ),
        (
            "America/New_York",
            "day",
            "2024-11-03T01:30-05:00",
            "2024-11-03T00:00-04:00",
            "2024-11-04T00:00-05:00",
        ),
        (
            "America/New_York",
            "hour",
            "2024-11-03T01:30-04:00",
            "2024-11-03T01:00-04:00",
            "2024-11-03T01:00-05:00",
        ),
        (
            "America/New_York",
            "hour",
            "2024-11-03T01:30-05:00",
            "2024-11-03T01:00-05:00",
            "2024-11-03T02:00-05:00",
        ),
        (
            "America/Sao_Paulo",
            "day",
            "2018-11-04T01:00-02:00",
            "2018-11-04T01:00-02:00",
            "2018-11-05T00:00-02:00",
        ),
        (
            "Asia/Kathmandu",
            "hour",
            "2024-01-01T10:30+05:45",
            "2024-01-01T10:00+05:45",
            "2024-01-01T11:00+05:45",
        ),
        (
            "Asia/Shanghai",
            "week",
            "2024-05-19T23:59+08:00",
            "2024-05-13T00:00+08:00",
            "2024-05-20T00:00+08:00",
        ),
        (
            "Europe/Berlin",
            "month",
            "2024-03-31T12:00+02:00",
            "2024-03-01T00:00+01:00",
            "2024-04-01T00:00+02:00",
        ),
        (
            "Europe/Berlin",
            "year",
            "2024-07-01T00:00+02:00",
            "2024-01-01T00:00+01:00",
            "2025-01-01T00:00+01:00",
        ),
    ],
)
def test_periods_across_changes_of_the_clock(
    zone: str, unit: PeriodUnit, at: str, start: str, end: str
) -> None:
    assert calendar_of(zone).bounds(unit, ms(at))[:2] == (ms(start), ms(end))


def test_an_hour_always_has_sixty_minutes_where_clocks_move_by_hours() -> None:
    calendar = calendar_of("Europe/Berlin")
    at_ms = ms("2024-10-26T00:00+02:00")
    for _ in range(72):
        start, end, _ = calendar.bounds("hour", at_ms)
        assert (start, end - start) == (at_ms, HOUR_MS)
        at_ms = end


def test_a_day_that_a_zone_left_out_is_empty() -> None:
    calendar, gone = calendar_of("Pacific/Apia"), date(2011, 12, 30).toordinal()
    assert calendar.start("day", gone) == calendar.start("day", gone + 1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("at_ms", [MIN_MS, MAX_MS, MIN_MS - 1000, -1, 0])
def test_instants_at_the_ends_of_time_have_periods_too(zone: str, unit: PeriodUnit, at_ms: int) -> None:
    calendar = calendar_of(zone)
    start, end, _ = calendar.bounds(unit, at_ms)
    assert start < end


@pytest.mark.parametrize(
    ("wall", "instants"),
    [
        ("2024-03-10T02:30", ["2024-03-10T03:00-04:00"]),
        ("2024-11-03T01:30", ["2024-11-03T01:30-04:00", "2024-11-03T01:30-05:00"]),
        ("2024-07-01T12:00", ["2024-07-01T12:00-04:00"]),
    ],
)
def test_a_wall_time_comes_once_twice_or_at_the_end_of_a_gap(wall: str, instants: list[str]) -> None:
    found = calendar_of("America/New_York").instants(datetime.fromisoformat(wall))
    assert found == tuple(map(ms, instants))
