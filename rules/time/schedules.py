"""Compute instants of batch audiences (docs/semantics.md, section 8), in the audience's time zone.

``daily`` is each local midnight, ``weekly`` that of Mondays, ``monthly`` that of the first. A cron time that
the clock skips comes at the first instant after the gap. One that it shows twice comes the first time; both
times if the minute or the hour is ``*`` or ``*/n``, so that what comes every half hour goes on doing so.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from rules.model import language
from rules.time.calendar import Calendar
from rules.time.cron import read_cron
from rules.time.instants import MAX_MS, MIN_MS

_EPOCH: Final = datetime(1970, 1, 1)
_MARGIN_MS: Final = 7 * 86_400_000
_DAY: Final = timedelta(days=1)
_BEFORE: Final = timedelta(days=1)
_AFTER: Final = timedelta(days=2)
"""A local day lies between so long before the midnight of its date in UTC and so long after: zones are less
than a day from UTC. Days may overlap where clocks go back across midnight."""
UNITS: Final[dict[str, language.PeriodUnit]] = {"daily": "day", "weekly": "week", "monthly": "month"}


class ComputeInstants(Protocol):
    """The compute instants of an audience."""

    def latest(self, at_ms: int) -> int | None:
        """The last compute instant at or before ``at_ms``."""

    def next(self, after_ms: int) -> int | None:
        """The first compute instant after ``after_ms``."""


class Once:
    """One instant, at which the audience was created."""

    def __init__(self, created_ms: int) -> None:
        self.created_ms = created_ms

    def latest(self, at_ms: int) -> int | None:
        return self.created_ms if self.created_ms <= at_ms else None

    def next(self, after_ms: int) -> int | None:
        return self.created_ms if self.created_ms > after_ms else None


class Periodic:
    """The beginnings of calendar periods."""

    def __init__(self, calendar: Calendar, unit: language.PeriodUnit) -> None:
        self.calendar = calendar
        self.unit = unit

    def latest(self, at_ms: int) -> int | None:
        return self.calendar.bounds(self.unit, at_ms)[0]

    def next(self, after_ms: int) -> int | None:
        end_ms = self.calendar.bounds(self.unit, after_ms)[1]
        return end_ms if end_ms > after_ms else None  # the years that can be written are over


class Cron:
    """The times of a cron expression of five fields."""

    def __init__(self, calendar: Calendar, cron: str) -> None:
        self.calendar = calendar
        self.table = read_cron(cron)
        self._instants = lru_cache(maxsize=64)(self._of_day)
        self._day = lru_cache(maxsize=64)(self.table.day)
        self._between: tuple[int, int] = (0, 0)

    def latest(self, at_ms: int) -> int | None:
        before, after = self._between
        if before <= at_ms < after:
            return before
        found = self._latest(at_ms)
        if found is not None:
            following = self.next(found)
            self._between = found, at_ms + 1 if following is None else following
        return found

    def next(self, after_ms: int) -> int | None:
        found: int | None = None
        day = self._day(_utc_date(after_ms) - _AFTER - _DAY, 1)
        while day is not None and (found is None or day - _BEFORE <= _utc_date(found)):
            instants = self._instants(day)
            at = bisect_right(instants, after_ms)
            if at < len(instants) and (found is None or instants[at] < found):
                found = instants[at]
            day = self._day(day, 1)
        return found

    def _latest(self, at_ms: int) -> int | None:
        found: int | None = None
        day = self._day(_utc_date(at_ms) + _BEFORE + _DAY, -1)
        while day is not None and (found is None or day + _AFTER >= _utc_date(found)):
            instants = self._instants(day)
            at = bisect_right(instants, at_ms)
            if at and (found is None or instants[at - 1] > found):
                found = instants[at - 1]
            day = self._day(day, -1)
        return found

    def _of_day(self, day: date) -> list[int]:
        """The instants of a local day that has the times, ascending."""
        midnight = datetime(day.year, day.month, day.day)
        shown = [
            self.calendar.instants(midnight + timedelta(minutes=minute)) for minute in self.table.minutes
        ]
        return sorted({instant for each in shown for instant in (each if self.table.is_twice else each[:1])})


def build_schedule(source: language.Schedule, calendar: Calendar, created_ms: int) -> ComputeInstants:
    """The schedule of a batch audience; ``created_ms`` is when it was created, for ``once``."""
    if source.kind == "once":
        return Once(created_ms)
    if source.kind == "cron":
        return Cron(calendar, source.cron)
    return Periodic(calendar, UNITS[source.kind])


def _utc_date(at_ms: int) -> date:
    """The date in UTC; not so near the ends of time that days around it can't be written."""
    return (_EPOCH + timedelta(milliseconds=min(max(at_ms, MIN_MS + _MARGIN_MS), MAX_MS - _MARGIN_MS))).date()
