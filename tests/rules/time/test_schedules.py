"""Compute instants of batch audiences (docs/semantics.md, section 8)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.time.calendar import calendar_of
from rules.time.instants import MAX_MS
from rules.time.schedules import ComputeInstants, build_schedule
from tests.model.calendars import compute_before, compute_from, numbers
from tests.strategies.fuzzing import usual


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def schedule(text: str, zone: str = "UTC", created_ms: int = 0) -> ComputeInstants:
    kind = text if text in ("once", "daily", "weekly", "monthly") else "cron"
    source = language.Schedule(kind, text if kind == "cron" else "")  # type: ignore[arg-type]
    return build_schedule(source, calendar_of(zone), created_ms)


@pytest.mark.parametrize(
    ("text", "zone", "at", "latest", "following"),
    [
        (
            "daily",
            "Asia/Shanghai",
            "2024-05-01T12:00+08:00",
            "2024-05-01T00:00+08:00",
            "2024-05-02T00:00+08:00",
        ),
        (
            "daily",
            "America/Sao_Paulo",
            "2018-11-04T02:00-02:00",
            "2018-11-04T01:00-02:00",
            "2018-11-05T00:00-02:00",
        ),
        (
            "weekly",
            "Europe/Berlin",
            "2024-03-31T12:00+02:00",
            "2024-03-25T00:00+01:00",
            "2024-04-01T00:00+02:00",
        ),
        ("monthly", "UTC", "2024-02-29T12:00+00:00", "2024-02-01T00:00+00:00", "2024-03-01T00:00+00:00"),
        (
            "30 2 * * *",
            "America/New_York",
            "2024-03-10T12:00-04:00",
            "2024-03-10T03:00-04:00",
            "2024-03-11T02:30-04:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2024-11-03T12:00-05:00",
            "2024-11-03T01:30-04:00",
            "2024-11-04T01:30-05:00",
        ),
        (  # the given example: half past two comes twice when Melbourne's clocks go back at three
            "*/30 * * * *",
            "Australia/Melbourne",
            "2024-04-06T16:05Z",
            "2024-04-06T16:00Z",
            "2024-04-06T16:30Z",
        ),
        (
            "*/30 2 * * *",
            "Australia/Melbourne",
            "2024-04-06T16:05Z",
            "2024-04-06T16:00Z",
            "2024-04-06T16:30Z",
        ),
        (
            "30 * * * *",
            "Australia/Melbourne",
            "2024-04-06T15:45Z",
            "2024-04-06T15:30Z",
            "2024-04-06T16:30Z",
        ),
        (
            "0-59/30 2 * * *",
            "Australia/Melbourne",
            "2024-04-06T16:05Z",
            "2024-04-06T15:30Z",
            "2024-04-07T16:00Z",
        ),
        (  # half an hour back at two: a quarter to two is shown twice
            "*/15 1 * * *",
            "Australia/Lord_Howe",
            "2024-04-06T15:00Z",
            "2024-04-06T15:00Z",
            "2024-04-06T15:15Z",
        ),
        (  # half an hour forward at two: a quarter past two is skipped
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2024-10-05T15:40Z",
            "2024-10-05T15:30Z",
            "2024-10-06T15:15Z",
        ),
        (  # back at a minute past midnight: midnight comes twice, between the two of 23:30
            "*/30 * * * *",
            "America/St_Johns",
            "2006-10-29T02:30Z",
            "2006-10-29T02:30Z",
            "2006-10-29T03:00Z",
        ),
        (  # the day that Samoa left out
            "30 2 * * *",
            "Pacific/Apia",
            "2011-12-30T10:00Z",
            "2011-12-30T10:00Z",
            "2011-12-30T12:30Z",
        ),
        ("0 6 * * mon", "UTC", "2024-05-01T12:00+00:00", "2024-04-29T06:00+00:00", "2024-05-06T06:00+00:00"),
        ("0 0 29 2 *", "UTC", "2025-01-01T00:00+00:00", "2024-02-29T00:00+00:00", "2028-02-29T00:00+00:00"),
    ],
)
def test_compute_instants(text: str, zone: str, at: str, latest: str, following: str) -> None:
    built = schedule(text, zone)
    assert (built.latest(ms(at)), built.next(ms(at))) == (ms(latest), ms(following))
    assert built.latest(ms(latest)) == ms(latest)
    assert built.next(ms(latest)) == ms(following)
    assert built.latest(ms(latest) - 1) != ms(latest)


@pytest.mark.parametrize("text", ["daily", "monthly", "0 6 * * mon"])
def test_at_the_end_of_time_there_is_no_next(text: str) -> None:
    assert schedule(text, "America/New_York").next(MAX_MS + 1) is None


def test_once_is_at_creation() -> None:
    built = schedule("once", created_ms=1000)
    assert [built.latest(at_ms) for at_ms in (999, 1000, 5000)] == [None, 1000, 1000]
    assert [built.next(at_ms) for at_ms in (999, 1000)] == [1000, None]


ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
]
CRONS = [
    "*/15 * * * *", "0 * * * *", "30 2 * * *", "15 0,12 * * 1-5", "0 0 1 * *", "5 4 31 * *", "0 12 13 * fri",
    "59 23 * * sun",
]  # fmt: skip


@settings(max_examples=usual(200), deadline=None)
@given(
    st.sampled_from(["daily", "weekly", "monthly", *CRONS]),
    st.sampled_from(ZONES),
    st.integers(ms("2017-01-01T00:00+00:00"), ms("2025-01-01T00:00+00:00")),
)
def test_instants_agree_with_a_walk_over_days(text: str, zone: str, at_ms: int) -> None:
    built = schedule(text, zone)
    for _ in range(3):
        latest, following = built.latest(at_ms), built.next(at_ms)
        assert latest == compute_before(text, zone, at_ms, 0)
        assert following == compute_from(text, zone, at_ms + 1, 0)
        assert following is not None
        at_ms = following


ALL_ZONES = sorted(available_timezones())
ODD_ZONES = [
    "Australia/Lord_Howe", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Africa/Casablanca",
    "Africa/Cairo", "Pacific/Apia", "Asia/Gaza", "Asia/Tehran", "Antarctica/Troll", "Pacific/Kwajalein",
    "Asia/Pyongyang", "America/Caracas", "Antarctica/Casey", "America/Asuncion", "Atlantic/Azores",
]  # fmt: skip
MINUTES = ["*", "*/30", "*/20", "*/7", "0", "30", "15,45", "0-59/30", "*/30,5"]
HOURS = ["*", "*/2", "*/5", "0", "1", "2", "3", "23", "0-3", "22,23,0"]
MINUTE_MS = 60_000
DAY_MINUTES = 24 * 60


@cache
def changes(zone: str) -> list[int]:
    """The minutes since 1970 before which the clocks of a zone change, 1975 to 2036."""
    info, found = ZoneInfo(zone), []

    def offset(minute: int) -> timedelta | None:
        return datetime.fromtimestamp(minute * 60, info).utcoffset()

    first, last = ms("1975-01-01T00:00Z") // MINUTE_MS, ms("2036-01-01T00:00Z") // MINUTE_MS
    for start in range(first, last, DAY_MINUTES):
        if offset(start) != offset(start + DAY_MINUTES):
            before = offset(start)
            found.append(
                next(minute for minute in range(start, start + DAY_MINUTES + 1) if offset(minute) != before)
            )
    return found


def walked(cron: str, zone: str, first: int, last: int) -> set[int]:
    """The compute instants, by looking at the clock on the wall every minute, from a day before to a day
    after the minutes given."""
    minutes, hours = (numbers(field, 0, high) for field, high in zip(cron.split(), (59, 23), strict=False))
    every = any(field == "*" or re.fullmatch(r"\*/\d+", field) for field in cron.split()[:2])
    walk = range(first - DAY_MINUTES, last + DAY_MINUTES)
    shown = [datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).replace(tzinfo=None) for minute in walk]
    found, seen = set(), set()
    before = shown[0]
    for minute, wall in zip(walk, shown, strict=True):
        skipped = before + timedelta(minutes=1)
        while skipped < wall:
            if skipped.hour in hours and skipped.minute in minutes:
                found.add(minute)
            skipped += timedelta(minutes=1)
        if wall.hour in hours and wall.minute in minutes and (every or wall not in seen):
            found.add(minute)
        seen.add(wall)
        before = wall
    return {each * MINUTE_MS for each in found}


@settings(max_examples=usual(25), deadline=None)
@given(
    st.sampled_from(ODD_ZONES) | st.sampled_from(ALL_ZONES),
    st.integers(0, 10**6),
    st.sampled_from(MINUTES),
    st.sampled_from(HOURS),
)
def test_instants_around_changes_of_the_clock_agree_with_a_look_every_minute(
    zone: str, which: int, minutes: str, hours: str
) -> None:
    change = (changes(zone) or [28_000_000])[which % max(1, len(changes(zone)))]
    cron = f"{minutes} {hours} * * *"
    first, last = change - DAY_MINUTES, change + DAY_MINUTES
    start_ms, end_ms = first * MINUTE_MS, last * MINUTE_MS
    expected = sorted(each for each in walked(cron, zone, first, last) if start_ms < each <= end_ms)
    built, other, found = schedule(cron, zone), schedule(cron, zone), []
    at_ms: int | None = built.next(start_ms)
    while at_ms is not None and at_ms <= end_ms:
        found.append(at_ms)
        assert built.latest(at_ms) == at_ms
        following = built.next(at_ms)
        assert following is not None
        assert other.latest(following - 1) == at_ms
        at_ms = following
    assert found == expected
