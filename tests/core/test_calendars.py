"""Calendars of the native core, made of a zone's table, against those that ask ``zoneinfo``."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.compile.tables import zone_table
from rules.model.language import PeriodUnit
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS, MAX_MS, MIN_MS
from tests.core.asked import testing
from tests.strategies.fuzzing import examples_of

UNITS: tuple[PeriodUnit, ...] = get_args(PeriodUnit)
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1)
ZONES = [
    "UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu",
    "Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Africa/Monrovia", "Asia/Manila",
    "America/Scoresbysund",
]  # fmt: skip
ANYWHERE = st.integers(MIN_MS, MAX_MS) | st.integers(-(2**42), 2**42) | st.integers(-FAR_MS, FAR_MS)


def hold_against_python(zone: str, at_ms: int) -> None:
    native, calendar = testing.Calendar(zone, zone_table(zone)), Calendar(zone)
    assert native.ordinal(at_ms) == calendar.date(at_ms).toordinal()
    for unit in UNITS:
        start, end, number = native.bounds(unit, at_ms)
        assert (start, end, number) == Calendar(zone).bounds(unit, at_ms), unit
        for each in (number - 1, number, number + 1, number + 400):
            assert native.start(unit, each) == calendar.start(unit, each), (unit, each)
    if MIN_MS + 3 * DAY_MS < at_ms < MAX_MS - 3 * DAY_MS:
        wall = EPOCH + timedelta(milliseconds=at_ms)
        found = native.instants(at_ms)
        assert tuple(each for each in found if each is not None) == calendar.instants(wall)


@settings(max_examples=examples_of(500), deadline=None)
@given(st.sampled_from(ZONES), ANYWHERE)
@example("UTC", MAX_MS)
@example("Europe/Berlin", MIN_MS)
@example("Asia/Kathmandu", MAX_MS - 4 * DAY_MS)
def test_a_zone_has_the_periods_that_python_has(zone: str, at_ms: int) -> None:
    hold_against_python(zone, at_ms)


@settings(max_examples=examples_of(500), deadline=None)
@given(st.data(), st.sampled_from(ZONES))
def test_clocks_change_when_they_do_in_python(data: st.DataObject, zone: str) -> None:
    changes = [at_ms for at_ms, _ in zone_table(zone)[1:]] or [0]
    cycles = data.draw(st.sampled_from([0, 0, 1, 18]))
    at_ms = data.draw(st.sampled_from(changes)) + cycles * 146_097 * DAY_MS
    hold_against_python(zone, min(at_ms, MAX_MS) + data.draw(st.integers(-2 * DAY_MS, 2 * DAY_MS)))


@settings(max_examples=examples_of(300), deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(UNITS),
    st.integers(-(2**62), 2**62) | st.integers(-(10**7), 10**7),
)
def test_periods_that_cannot_be_written_begin_at_an_end_of_time(
    zone: str, unit: PeriodUnit, number: int
) -> None:
    assert testing.Calendar(zone, zone_table(zone)).start(unit, number) == Calendar(zone).start(unit, number)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Africa/Casablanca"])
def test_a_table_has_every_change_of_a_clock(zone: str) -> None:
    table = zone_table(zone)
    assert all(one[0] < other[0] and one[1] != other[1] for one, other in pairwise(table))
