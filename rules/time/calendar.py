"""Calendar periods in a time zone: which one an instant is in, and where each begins.

Periods are numbered: hours since 1970, days as ``date.toordinal`` has them, weeks from a Monday, months and
years from year 0. They follow each other without gap or overlap, whatever the clocks do: a day begins at the
first instant at which the zone's clock is at or past its midnight, so a day with a change of the clock has
23 or 25 hours, and a day that a zone left out is empty. An hour always has sixty minutes: one that the clock
shows twice is two hours.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from rules.model.language import PeriodUnit
from rules.time.instants import DATE_LENGTH, MAX_MS, MIN_MS, parse_instant

HOUR_MS: Final = 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_MARGIN_MS: Final = 48 * HOUR_MS  # local time must not leave the years 1 to 9999, either


class Calendar:
    """The periods of one zone. Made by ``calendar_of``, which shares them."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._info = ZoneInfo(zone)
        self._current: dict[PeriodUnit, tuple[int, int, int]] = {}
        self._starts: dict[tuple[PeriodUnit, int], int] = {}

    def period(self, unit: PeriodUnit, at_ms: int) -> int:
        """The number of the period of ``at_ms``."""
        return self.bounds(unit, at_ms)[2]

    def bounds(self, unit: PeriodUnit, at_ms: int) -> tuple[int, int, int]:
        """(start, end, number) of the period of ``at_ms``: ``start <= at_ms < end``."""
        current = self._current.get(unit)
        if current is not None and current[0] <= at_ms < current[1]:  # as for nearly all, one after another
            return current
        at_ms = min(max(at_ms, MIN_MS + _MARGIN_MS), MAX_MS - _MARGIN_MS)
        number = self._number(unit, at_ms)
        while self.start(unit, number) > at_ms:
            number -= 1
        while (end := self.start(unit, number + 1)) <= at_ms:
            number += 1
        found = self.start(unit, number), end, number
        self._current[unit] = found
        return found

    def start(self, unit: PeriodUnit, number: int) -> int:
        """The first instant of a period; the end of time for those that can't be written."""
        start = self._starts.get((unit, number))
        if start is None:
            if len(self._starts) > 10_000:
                self._starts.clear()
            start = self._starts[unit, number] = self._start(unit, number)
        return start

    def date(self, at_ms: int) -> date:
        """The date on the zone's clock."""
        return self._local(min(max(at_ms, MIN_MS + _MARGIN_MS), MAX_MS - _MARGIN_MS)).date()

    def local(self, at_ms: int) -> datetime:
        """What the zone's clock shows, without its zone."""
        return self._local(min(max(at_ms, MIN_MS + _MARGIN_MS), MAX_MS - _MARGIN_MS)).replace(tzinfo=None)

    def instants(self, wall: datetime) -> tuple[int, ...]:
        """The instants at which the zone's clock shows ``wall`` (no zone): mostly one, two when clocks go
        back, and when they go forward past it the first instant after the gap."""
        first = _utc_ms(wall.replace(tzinfo=self._info, fold=0))
        second = _utc_ms(wall.replace(tzinfo=self._info, fold=1))
        if first == second:
            return (first,)
        if first < second:
            return first, second
        before, after = second, first  # a gap: the change lies between
        shown = self._offset_ms(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset_ms(middle) == shown:
                after = middle
            else:
                before = middle
        return (after,)

    def _local(self, at_ms: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(self._info)

    def _offset_ms(self, at_ms: int) -> int:
        offset = self._local(at_ms).utcoffset()
        assert offset is not None
        return offset // _MS

    def _number(self, unit: PeriodUnit, at_ms: int) -> int:
        """The period that the clock shows: off by one where a change of the clock crosses a boundary."""
        if unit == "hour":
            return (at_ms + self._offset_ms(at_ms) % HOUR_MS) // HOUR_MS
        day = self._local(at_ms).date()
        match unit:
            case "day":
                return day.toordinal()
            case "week":
                return (day.toordinal() - 1) // 7
            case "month":
                return day.year * 12 + day.month - 1
            case "year":
                return day.year

    def _start(self, unit: PeriodUnit, number: int) -> int:
        if unit == "hour":
            return self._start_of_hour(number)
        try:
            match unit:
                case "day":
                    first = date.fromordinal(number)
                case "week":
                    first = date.fromordinal(number * 7 + 1)
                case "month":
                    first = date(number // 12, number % 12 + 1, 1)
                case "year":
                    first = date(number, 1, 1)
            if not 1 < first.year < 9999:
                raise ValueError(first)
        except (ValueError, OverflowError):
            return MIN_MS if number < _MIDDLE[unit] else MAX_MS + 1
        return self.instants(datetime(first.year, first.month, first.day))[0]

    def _start_of_hour(self, number: int) -> int:
        near = number * HOUR_MS
        if not MIN_MS + 2 * _MARGIN_MS < near < MAX_MS - 2 * _MARGIN_MS:
            return MIN_MS if near < 0 else MAX_MS + 1
        start = near - self._offset_ms(near) % HOUR_MS
        if self._number("hour", start) == number and self._number("hour", start - 1) == number - 1:
            return start
        before, after = near - 2 * HOUR_MS, near + 2 * HOUR_MS  # half an hour was put in or left out
        while after - before > 1:
            middle = (before + after) // 2
            if self._number("hour", middle) >= number:
                after = middle
            else:
                before = middle
        return after


_MIDDLE: Final[dict[PeriodUnit, int]] = {
    "hour": 0,
    "day": 719_163,
    "week": 102_737,
    "month": 23_640,
    "year": 1970,
}


def instant_in_zone(value: object, calendar: Calendar) -> int:
    """As ``parse_instant``, but a date is its midnight in the zone. Raises InstantInvalid.

    Dates of the first and the last year that can be written are their midnight in UTC.
    """
    instant = parse_instant(value)
    if type(value) is str and len(value) == DATE_LENGTH and calendar.zone != "UTC":
        day = date.fromisoformat(value)
        if 1 < day.year < 9999:
            return calendar.start("day", day.toordinal())
    return instant


@lru_cache(maxsize=1024)
def calendar_of(zone: str) -> Calendar:
    """The calendar of an IANA time zone. Raises ``zoneinfo.ZoneInfoNotFoundError``."""
    return Calendar(zone)


def _utc_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
