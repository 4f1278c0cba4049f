"""Compute instants of batch audiences: the native core against Python's schedules."""

from __future__ import annotations

from random import Random

import msgspec
from croniter import CroniterBadDateError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.compile.spec import schedule_node
from rules.compile.tables import zone_table
from rules.model import language
from rules.time.calendar import Calendar
from rules.time.instants import MAX_MS, MIN_MS
from rules.time.schedules import build_schedule
from tests.core.asked import testing
from tests.core.test_calendars import DAY_MS, ZONES
from tests.rules.time.crons import cron_of
from tests.strategies.fuzzing import examples_of


def hold_against_python(schedule: language.Schedule, zone: str, instants: list[int]) -> None:
    calendar = testing.Calendar(zone, zone_table(zone))
    native = testing.Schedule(msgspec.json.encode(schedule_node(schedule)), calendar, 1_000)
    try:
        python = build_schedule(schedule, Calendar(zone), 1_000)
    except CroniterBadDateError:
        return
    for at_ms in instants:
        assert native.latest(at_ms) == python.latest(at_ms), at_ms
        assert native.next(at_ms) == python.next(at_ms), at_ms


@settings(max_examples=examples_of(300), deadline=None)
@given(
    st.integers(0, 2**48),
    st.sampled_from(ZONES),
    st.integers(-(2**42), 2**42),
)
def test_cron_schedules_have_the_instants_that_python_has(seed: int, zone: str, at_ms: int) -> None:
    dice = Random(seed)
    near = [at_ms + dice.randrange(-DAY_MS, DAY_MS) for _ in range(4)]
    changes = [
        dice.choice(zone_table(zone)[1:] or ((0, 0),))[0] + dice.randrange(-DAY_MS, DAY_MS) for _ in range(2)
    ]
    hold_against_python(language.Schedule("cron", cron_of(dice)), zone, near + changes)


@settings(max_examples=examples_of(200), deadline=None)
@given(
    st.sampled_from(["once", "daily", "weekly", "monthly"]),
    st.sampled_from(ZONES),
    st.integers(MIN_MS, MAX_MS) | st.integers(-(2**42), 2**42) | st.integers(0, 2_000),
)
@example("daily", "America/New_York", MAX_MS + 1)
@example("monthly", "UTC", MIN_MS)
def test_so_have_schedules_with_names(kind: str, zone: str, at_ms: int) -> None:
    hold_against_python(language.Schedule(kind), zone, [at_ms])  # type: ignore[arg-type]


def test_at_the_ends_of_time_schedules_end() -> None:
    for cron in ("0 0 * * *", "*/30 * * * *", "0 0 29 2 *"):
        hold_against_python(language.Schedule("cron", cron), "Europe/Berlin", [MIN_MS, MAX_MS, MAX_MS + 1])
