"""Instants and dates in the audience's zone, against a clock or each other (section 7).

The clock is an event's time for its properties, and the present for attributes, which therefore change by
time, until the year 9999. A value is RFC 3339 text, or a number. A date is its midnight in the audience's
zone, in comparisons (``gt``, ``between``, ...), too; an anniversary is a day of the audience's calendar:
that of a date, or the one on which an instant fell there. It holds from ``within`` before that day begins
until the day is over, from the year after on; who was born on 29 February has 28 February in other years.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

from rules.time.calendar import Calendar, instant_in_zone
from rules.time.instants import FAR_MS, MAX_MS, MIN_MS, number_ms

ORDER: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "gt": python.gt,
    "gte": python.ge,
    "lt": python.lt,
    "lte": python.le,
}
DATE_OPERATORS: Final = frozenset({"older_than", "newer_than", "in_next", "between_next", "anniversary"})


class DateTest(Protocol):
    """One date operator."""

    def holds(self, value: object, at_ms: int) -> bool:
        """Its truth for a value at an instant."""

    def next_change(self, value: object, after_ms: int) -> int:
        """The first instant after another at which ``holds`` may change; ``FAR_MS``: never."""


def date_test(operator: str, operand: object, calendar: Calendar) -> DateTest:
    """The test of a date operator. ``operand`` is a duration in ms, or a pair of them."""
    match operator, operand:
        case "anniversary", int(length_ms):
            return Anniversary(length_ms, calendar)
        case "older_than", int(length_ms):
            return Ahead(-_ALWAYS_MS, 1 - length_ms, calendar)
        case "newer_than", int(length_ms):
            return Ahead(1 - length_ms, _ALWAYS_MS, calendar)
        case "in_next", int(length_ms):
            return Ahead(0, length_ms, calendar)
        case "between_next", (int(near_ms), int(far_ms)):
            return Ahead(near_ms, far_ms, calendar)
    raise ValueError(f"{operator} can't take {operand!r}")


_ALWAYS_MS: Final = 10**400
"""Further ahead, or back, than any number that a record can have."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Holds of values at least ``low_ms`` and less than ``high_ms`` ahead."""

    low_ms: int
    high_ms: int
    calendar: Calendar

    def holds(self, value: object, at_ms: int) -> bool:
        instant = read_date(value, self.calendar)
        return instant is not None and self.low_ms <= instant - at_ms < self.high_ms

    def next_change(self, value: object, after_ms: int) -> int:
        instant = read_date(value, self.calendar)
        if instant is None:
            return FAR_MS
        # A value comes nearer as time passes: it holds from ``high - 1`` ahead on, until it is ``low`` ahead.
        begins_ms, ends_ms = instant - self.high_ms + 1, instant - self.low_ms + 1
        change_ms = begins_ms if begins_ms > after_ms else ends_ms
        return change_ms if after_ms < change_ms <= MAX_MS else FAR_MS


@dataclass(frozen=True, slots=True)
class Anniversary:
    """Holds from ``length_ms`` before the day comes round until it is over."""

    length_ms: int
    calendar: Calendar

    def holds(self, value: object, at_ms: int) -> bool:
        found = self._span(value, at_ms)
        return found is not None and found[0] <= at_ms

    def next_change(self, value: object, after_ms: int) -> int:
        found = self._span(value, after_ms)
        if found is None:
            return FAR_MS
        return found[0] if found[0] > after_ms else found[1]

    def _span(self, value: object, at_ms: int) -> tuple[int, int] | None:
        """The first stretch in which an anniversary holds and that isn't over at ``at_ms``."""
        calendar = self.calendar
        instant = read_date(value, calendar)
        if instant is None or not MIN_MS <= instant <= MAX_MS:
            return None
        is_date = isinstance(value, str) and len(value) == 10
        day = date.fromisoformat(str(value)) if is_date else calendar.date(instant)
        for year in range(max(day.year + 1, calendar.date(at_ms).year), 9998):
            ordinal = _in_year(day, year).toordinal()
            end_ms = calendar.start("day", ordinal + 1)
            if end_ms > at_ms:
                return calendar.start("day", ordinal) - self.length_ms, end_ms
        return None


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def read_date(value: object, calendar: Calendar) -> int | None:
    """UTC milliseconds of what date operators take: an instant or date as text, or a number."""
    if type(value) is int or type(value) is float:
        try:
            return number_ms(value)
        except (ValueError, OverflowError):  # not a finite number
            return None
    return read_text(value, calendar)


def read_text(value: object, calendar: Calendar) -> int | None:
    """UTC milliseconds of a text that is an instant or a date; None for all else."""
    if type(value) is not str:
        return None
    try:
        return instant_in_zone(value, calendar)
    except (ValueError, OverflowError):
        return None


def order_of_dates(operator: str, operand: object, calendar: Calendar) -> Callable[[object], bool]:
    """A comparison of texts that are instants or dates with one, or with two of them."""
    ends = [read_text(each, calendar) for each in (operand if isinstance(operand, tuple) else (operand,))]
    low, high = ends[0], ends[-1]
    if low is None or high is None:
        raise ValueError(f"{operand!r} is no instant")
    if operator == "between":
        return lambda value: (instant := read_text(value, calendar)) is not None and low <= instant <= high
    compare = ORDER[operator]
    return lambda value: (instant := read_text(value, calendar)) is not None and compare(instant, low)
