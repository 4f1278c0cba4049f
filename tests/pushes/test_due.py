"""When a push is due: each time once, missed times together or not at all."""

from __future__ import annotations

import pytest

from agents.pushes.contract.parse import load_pushes
from agents.pushes.due import DueTime, due_time, next_due_ms
from rules.time.instants import parse_instant

HOUR_MS = 3_600_000


def at(text: str) -> int:
    return parse_instant(text)


def due(schedule: str, published: str, last: str | None, now: str) -> DueTime | None:
    (push,) = load_pushes([("p", f"{{name: p, audience: a, connection: c, schedule: {schedule}}}")])
    published_ms = at(published)
    return due_time(push, published_ms, None if last is None else at(last), at(now))


def test_a_push_that_runs_once_is_due_when_it_is_published_or_at_its_start_and_never_again() -> None:
    assert due("once", "2026-11-28T10:00:00Z", None, "2026-11-28T10:00:01Z") == DueTime(
        at("2026-11-28T10:00:00Z")
    )
    assert due("once", "2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z", "2026-11-29T00:00:00Z") is None
    later = '{every: once, start: "2026-12-01T00:00:00Z"}'
    assert due(later, "2026-11-28T10:00:00Z", None, "2026-11-30T23:59:59Z") is None
    assert due(later, "2026-11-28T10:00:00Z", None, "2026-12-01T00:00:00Z") == DueTime(
        at("2026-12-01T00:00:00Z")
    )


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        ("hourly", "2026-11-28T11:00:00Z", "2026-11-28T11:00:00Z"),
        ("hourly", "2026-11-28T10:59:59Z", None),
        (
            '{every: daily, at: "08:30", timezone: Asia/Shanghai}',
            "2026-11-29T00:30:00Z",
            "2026-11-29T00:30:00Z",
        ),
        ("weekly", "2026-11-30T00:00:30Z", "2026-11-30T00:00:00Z"),
        ("{every: monthly, on: last}", "2026-11-30T00:00:30Z", "2026-11-30T00:00:00Z"),
        ('{every: hourly, end: "2026-11-28T11:00:00Z"}', "2026-11-28T11:00:30Z", None),
        ('{every: hourly, start: "2026-11-28T12:00:00Z"}', "2026-11-28T11:00:30Z", None),
    ],
)
def test_a_time_of_a_schedule_is_due_from_its_instant_on(
    schedule: str, now: str, expected: str | None
) -> None:
    found = due(schedule, "2026-11-28T10:00:00Z", None, now)
    assert (None if found is None else found.due_ms) == (None if expected is None else at(expected))


def test_a_time_that_has_its_run_is_due_no_more_and_missed_times_are_one_run_or_none() -> None:
    published, last = "2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z"
    assert due("hourly", published, last, "2026-11-28T11:59:00Z") is None
    missed = due("hourly", published, last, "2026-11-28T14:30:00Z")
    assert missed == DueTime(at("2026-11-28T14:00:00Z"), 3)
    skipped = due("{every: hourly, missed: skip}", published, last, "2026-11-28T14:30:00Z")
    assert skipped == DueTime(at("2026-11-28T14:00:00Z"), 3, is_skipped=True)
    in_time = due("{every: hourly, missed: skip}", published, last, "2026-11-28T12:00:20Z")
    assert in_time == DueTime(at("2026-11-28T12:00:00Z"))


def test_where_clocks_go_back_a_time_comes_once_and_a_time_that_they_skip_comes_after_the_gap() -> None:
    zone = '{every: daily, at: "02:30", timezone: Europe/Berlin}'
    gap = due(zone, "2026-03-28T12:00:00Z", None, "2026-03-29T12:00:00Z")
    assert gap == DueTime(at("2026-03-29T01:00:00Z"))
    twice = due(zone, "2026-10-24T12:00:00Z", None, "2026-10-25T12:00:00Z")
    assert twice == DueTime(at("2026-10-25T00:30:00Z"))


def test_the_next_time_is_told_and_a_disabled_push_has_none() -> None:
    (push,) = load_pushes([("p", "{name: p, audience: a, connection: c, schedule: hourly}")])
    (off,) = load_pushes([("p", "{name: p, audience: a, connection: c, schedule: hourly, enabled: false}")])
    now_ms = at("2026-11-28T10:20:00Z")
    assert next_due_ms(push, now_ms, None, now_ms) == at("2026-11-28T11:00:00Z")
    assert next_due_ms(off, now_ms, None, now_ms) is None


def test_a_push_that_ran_once_runs_again_only_where_its_start_is_moved_into_the_future() -> None:
    published, last = "2026-11-28T10:00:00Z", "2026-11-27T00:00:00Z"
    assert due("once", published, last, "2026-11-28T10:00:01Z") is None
    past = '{every: once, start: "2026-11-28T09:00:00Z"}'
    assert due(past, published, last, "2026-11-28T10:00:01Z") is None
    moved = '{every: once, start: "2026-11-29T00:00:00Z"}'
    assert due(moved, published, last, "2026-11-28T23:59:59Z") is None
    assert due(moved, published, last, "2026-11-29T00:00:00Z") == DueTime(at("2026-11-29T00:00:00Z"))
    assert due(moved, published, "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z") is None
