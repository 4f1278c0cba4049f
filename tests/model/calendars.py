"""Calendars of time zones: periods, and the compute instants of batch audiences.

Periods are known by the clock on the wall: each has a number, and that of an instant is read off its local
date and hour. Weeks start on Monday.

Choice: an hour that the clock goes through twice is two calendar hours; where clocks change by half an hour
(Lord Howe), one hour has 30 minutes and another 90. ``*/n`` is a whole field: ``*/n,5`` is a list of fixed
times.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from tests.model.instants import EPOCH

HOUR, DAY = 3_600_000, 86_400_000
NAMED = {
    "today": ("day", 1, 0),
    "yesterday": ("day", 1, 1),
    "this_week": ("week", 1, 0),
    "last_week": ("week", 1, 1),
    "this_month": ("month", 1, 0),
    "last_month": ("month", 1, 1),
    "this_year": ("year", 1, 0),
}


@lru_cache(maxsize=1 << 18)
def local_second(second: int, zone: str) -> datetime:
    return datetime.fromtimestamp(second, ZoneInfo(zone))


def local_date(ms: int, zone: str) -> date:
    return local_second(ms // 1000, zone).date()


def offset_ms(ms: int, zone: str) -> int:
    """What the local clock is ahead of UTC."""
    return local_second(ms // 1000, zone).utcoffset() // timedelta(milliseconds=1)  # type: ignore[operator]


def period_number(ms: int, unit: str, zone: str) -> int:
    """The running number of the calendar period that an instant lies in."""
    local = local_second(ms // 1000, zone)
    day = local.toordinal()
    if unit == "hour":
        return (ms + offset_ms(ms, zone) % HOUR) // HOUR
    if unit == "day":
        return day
    if unit == "week":
        return (day - 1) // 7  # day 1 was a Monday
    return local.year * 12 + local.month - 1 if unit == "month" else local.year


@cache
def period_start(number: int, unit: str, zone: str) -> int:
    """The first instant whose period has this number or a higher one."""
    if unit == "hour":
        near = number * HOUR
    else:
        near = (first_day(number, unit).toordinal() - EPOCH.toordinal()) * DAY
    early, late = near - 2 * DAY, near + 2 * DAY
    while late - early > 1:
        middle = (early + late) // 2
        if period_number(middle, unit, zone) >= number:
            late = middle
        else:
            early = middle
    return late


def first_day(number: int, unit: str) -> date:
    if unit == "day":
        return date.fromordinal(number)
    if unit == "week":
        return date.fromordinal(number * 7 + 1)
    return date(number // 12, number % 12 + 1, 1) if unit == "month" else date(number, 1, 1)


def period_of(window: object) -> tuple[str, int, int]:
    """(unit, length, ago): so many periods, the last of them so many before the present one."""
    if isinstance(window, dict):
        return window["unit"], window["last"], 0
    return NAMED[str(window)]


def start_of_date(text: str, zone: str) -> int:
    """The first instant of a date, given as YYYY-MM-DD."""
    return period_start(date.fromisoformat(text).toordinal(), "day", zone)


# -- compute instants --------------------------------------------------------------------------------


def compute_before(schedule: str, zone: str, at_ms: int, created_ms: int) -> int | None:
    """The latest compute instant at or before ``at_ms``."""
    if schedule == "once":
        return created_ms if created_ms <= at_ms else None
    if schedule in UNIT_OF:
        return period_start(period_number(at_ms, UNIT_OF[schedule], zone), UNIT_OF[schedule], zone)
    today = local_date(at_ms, zone).toordinal()
    found: list[int] = []
    for day in range(today + AROUND, today - CRON_DAYS, -1):
        if found and day < local_date(max(found), zone).toordinal() - AROUND:
            return max(found)
        found += [each for each in cron_instants(schedule, zone, day) if each <= at_ms]
    return None


def compute_from(schedule: str, zone: str, at_ms: int, created_ms: int) -> int | None:
    """The first compute instant at or after ``at_ms``; None: there is none."""
    if schedule == "once":
        return created_ms if created_ms >= at_ms else None
    if schedule in UNIT_OF:
        unit = UNIT_OF[schedule]
        number = period_number(at_ms, unit, zone)
        start = period_start(number, unit, zone)
        return start if start == at_ms else period_start(number + 1, unit, zone)
    today = local_date(at_ms, zone).toordinal()
    found: list[int] = []
    for day in range(today - AROUND, today + CRON_DAYS):
        if found and day > local_date(min(found), zone).toordinal() + AROUND:
            return min(found)
        found += [each for each in cron_instants(schedule, zone, day) if each >= at_ms]
    return None


UNIT_OF = {"daily": "day", "weekly": "week", "monthly": "month"}
CRON_DAYS = 5 * 366
"""Where nothing comes for so long, nothing comes."""
AROUND = 3
"""Days that may have an instant between those of a day, where clocks go back across midnight."""
WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip


@cache
def cron_instants(cron: str, zone: str, day: int) -> tuple[int, ...]:
    """The instants of one local day."""
    minutes, hours, days, months, weekdays = cron.split()
    local = date.fromordinal(day)
    on_day = local.day in numbers(days, 1, 31)
    on_weekday = local.isoweekday() % 7 in {each % 7 for each in numbers(weekdays, 0, 7, WEEKDAYS)}
    if "*" not in (days[:1], weekdays[:1]):
        fits = on_day or on_weekday  # as cron has it: if both are limited, either will do
    else:
        fits = on_day and on_weekday
    if not fits or local.month not in numbers(months, 1, 12, MONTHS):
        return ()
    every = any(re.fullmatch(r"\*(/\d+)?", field) for field in (minutes, hours))
    found: set[int] = set()
    for hour in numbers(hours, 0, 23):
        for minute in numbers(minutes, 0, 59):
            shown = wall_instants(datetime(local.year, local.month, local.day, hour, minute), zone)
            found |= set(shown) if every else {min(shown)}
    return tuple(sorted(found))


def wall_instants(wall: datetime, zone: str) -> list[int]:
    """The instants at which the wall clock shows this; if it skips that, the first at which it shows more."""
    naive = (wall.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    offsets = {offset_ms(naive + shift, zone) for shift in range(-DAY, DAY + 1, 6 * HOUR)}
    shown = [naive - each for each in offsets if offset_ms(naive - each, zone) == each]
    if shown:
        return shown
    early, late = naive - max(offsets), naive - min(offsets)
    while late - early > 1:
        middle = (early + late) // 2
        if middle + offset_ms(middle, zone) >= naive:
            late = middle
        else:
            early = middle
    return [late]


def numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """What a cron field allows."""
    found: set[int] = set()
    for part in field.lower().split(","):
        for name, at in (names or {}).items():
            part = re.sub(rf"\b{name}\b", str(at), part)
        span, _, every = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = str(low), str(high)
        ends = int(last) if last else (high if every else int(first))
        found.update(range(int(first), ends + 1, int(every or 1)))
    return found
