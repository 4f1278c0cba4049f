"""Compute instants of batch audiences (docs/semantics.md, section 8)."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.time.calendar import calendar_of
from rules.time.instants import MAX_MS
from rules.time.schedules import ComputeInstants, build_schedule
from tests.model.calendars import compute_before, compute_from


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


@settings(max_examples=200, deadline=None)
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
