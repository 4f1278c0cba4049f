"""Cron expressions of five fields, as the days and times that they name.

``croniter`` reads them. It doesn't look for days: going from one to the next, it passes over some. After
5 February it says that ``0 0 1,30 * *`` comes on 30 March, because February has no 30th.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from croniter import croniter

_EVERY: Final = re.compile(r"\*(/\d+)?", re.ASCII)
_DAY: Final = timedelta(days=1)
MAX_DAYS: Final = 50 * 366
"""As far as a day is looked for, and farther where months are passed over. Of the rarest that the parser lets
pass, 29 February on a certain weekday, there is one in forty years."""


@dataclass(frozen=True, slots=True)
class CronTable:
    """``minutes`` are of the day; in ``weekdays`` Sunday is 0."""

    minutes: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[int, ...]
    is_last_day: bool
    """The last day of a month, too."""
    weekdays: tuple[int, ...]
    nth: tuple[tuple[int, int], ...]
    """(weekday, which one of the month; 0 is the last): in the place of ``weekdays``, if there are any."""
    is_either: bool
    """The day of the month and the weekday are both given: one of them is enough."""
    is_twice: bool
    """A time that the clock shows twice comes twice: what comes every half hour goes on doing so."""

    def has(self, day: date) -> bool:
        """Whether the times come on a day."""
        if day.month not in self.months:
            return False
        of_month = day.day in self.days or (self.is_last_day and _is_last(day))
        weekday = day.isoweekday() % 7
        if not self.nth:
            of_week = weekday in self.weekdays
            return of_month or of_week if self.is_either else of_month and of_week
        which = (day.day + 6) // 7
        of_week = (weekday, which) in self.nth or ((weekday, 0) in self.nth and _is_last_week(day))
        return of_week and (of_month or self.is_either)

    def day(self, day: date, step: int) -> date | None:
        """The next day, or with ``step`` -1 the one before, that has the times; None: there is none."""
        for _ in range(MAX_DAYS):
            if day in (date.min, date.max):
                return None
            day += step * _DAY
            if day.month not in self.months:  # on to the end of it
                day = day.replace(day=1 if step < 0 else monthrange(day.year, day.month)[1])
            elif self.has(day):
                return day
        return None


@lru_cache(maxsize=1024)
def read_cron(cron: str) -> CronTable:
    """Raises ValueError, KeyError or AttributeError for what is no cron expression."""
    (minutes, hours, days, months, weekdays), nth = croniter.expand(cron)
    at_hours = _numbers(hours, range(24))
    return CronTable(
        minutes=tuple(hour * 60 + minute for hour in at_hours for minute in _numbers(minutes, range(60))),
        months=_numbers(months, range(1, 13)),
        days=_numbers(days, range(1, 32)),
        is_last_day="l" in days,
        weekdays=_numbers(weekdays, range(7)),
        nth=tuple(sorted((day, 0 if each == "l" else each) for day, found in nth.items() for each in found)),
        is_either=days[0] != "*" and weekdays[0] != "*",
        is_twice=any(_EVERY.fullmatch(field) for field in cron.split()[:2]),
    )


def _numbers(found: list[Any], every: Iterable[int]) -> tuple[int, ...]:
    return tuple(every) if "*" in found else tuple(sorted(each for each in found if type(each) is int))


def _is_last(day: date) -> bool:
    return day == date.max or (day + _DAY).day == 1


def _is_last_week(day: date) -> bool:
    """Whether its weekday doesn't come again in the month."""
    return day > date.max - 7 * _DAY or (day + 7 * _DAY).month != day.month
