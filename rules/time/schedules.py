"""Compute instants of batch audiences (docs/semantics.md, section 8), in the audience's time zone.

``daily`` is each local midnight, ``weekly`` that of Mondays, ``monthly`` that of the first. A cron time that
the clock skips comes at the first instant after the gap, one that it shows twice comes the first time.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Protocol

from croniter import CroniterBadDateError, croniter

from rules.model import language
from rules.time.calendar import Calendar

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
        self.cron = cron
        self._instants = lru_cache(maxsize=64)(self._of_day)
        self._between: tuple[int, int] = (0, 0)
        self._times: list[time] = []

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
        day: date | None = self.calendar.date(after_ms) - timedelta(days=1)
        while day is not None:
            instants = self._instants(day)
            at = bisect_right(instants, after_ms)
            if at < len(instants):
                return instants[at]
            day = self._day(day, 1)
        return None

    def _latest(self, at_ms: int) -> int | None:
        day: date | None = self.calendar.date(at_ms) + timedelta(days=1)
        while day is not None:
            instants = self._instants(day)
            at = bisect_right(instants, at_ms)
            if at:
                return instants[at - 1]
            day = self._day(day, -1)
        return None

    def _day(self, day: date, step: int) -> date | None:
        """The next day, or the one before, that has a time; None: none for a long while."""
        midnight = datetime(day.year, day.month, day.day)
        try:
            if step > 0:
                found = croniter(self.cron, midnight + timedelta(days=1) - timedelta(seconds=1)).get_next(
                    datetime
                )
            else:
                found = croniter(self.cron, midnight).get_prev(datetime)
        except (CroniterBadDateError, ValueError, OverflowError):
            return None
        return found.date()

    def _of_day(self, day: date) -> list[int]:
        """The instants of a local day, ascending."""
        midnight = datetime(day.year, day.month, day.day)
        try:
            first = croniter(self.cron, midnight - timedelta(seconds=1)).get_next(datetime)
        except (CroniterBadDateError, ValueError, OverflowError):
            return []
        if first.date() != day:
            return []
        if not self._times:
            self._times = self._times_from(first)
        return sorted({self.calendar.instants(datetime.combine(day, time))[0] for time in self._times})

    def _times_from(self, first: datetime) -> list[time]:
        """The times of a day, of every day that has some: asking for each again would be slow."""
        times = [first.time()]
        each = croniter(self.cron, first)
        with suppress(CroniterBadDateError, ValueError, OverflowError):
            while (found := each.get_next(datetime)).date() == first.date():
                times.append(found.time())
        return times


def build_schedule(source: language.Schedule, calendar: Calendar, created_ms: int) -> ComputeInstants:
    """The schedule of a batch audience; ``created_ms`` is when it was created, for ``once``."""
    if source.kind == "once":
        return Once(created_ms)
    if source.kind == "cron":
        return Cron(calendar, source.cron)
    return Periodic(calendar, UNITS[source.kind])
