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
from typing import Any, Final, TypeAlias

from rules.model import language
from rules.model.canonical import is_order_of_dates
from rules.predicates.compiled import compile_predicate, holds_against
from rules.predicates.elements import decider_of, subject_of
from rules.predicates.paths import elements_of, getter_of
from rules.time.calendar import Calendar, instant_in_zone
from rules.time.instants import FAR_MS, MAX_MS, MIN_MS, number_ms

ORDER: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "gt": python.gt,
    "gte": python.ge,
    "lt": python.lt,
    "lte": python.le,
}
DATE_OPERATORS: Final = frozenset({"older_than", "newer_than", "in_next", "between_next", "anniversary"})


@dataclass(frozen=True, slots=True)
class DateTest:
    """One date operator. ``next_change`` is the first instant after another at which ``holds`` may change."""

    holds: Callable[[object, int], bool]
    next_change: Callable[[object, int], int]
    """``FAR_MS``: never."""


def compile_date_test(operator: str, operand: object, calendar: Calendar) -> DateTest:
    """The test of a value against an instant in ms. ``operand`` is a duration in ms, or a pair of them."""
    if operator == "anniversary":
        assert isinstance(operand, int)
        return _anniversary(operand, calendar)
    low, high = _ahead(operator, operand)

    def holds(value: object, at_ms: int) -> bool:
        instant = read_date(value, calendar)
        return instant is not None and low <= instant - at_ms < high

    def next_change(value: object, after_ms: int) -> int:
        instant = read_date(value, calendar)
        if instant is None:
            return FAR_MS
        # A value comes nearer as time passes: it holds from ``high - 1`` ahead on, until it is ``low`` ahead.
        begins_ms, ends_ms = instant - high + 1, instant - low + 1
        change_ms = begins_ms if begins_ms > after_ms else ends_ms
        return change_ms if after_ms < change_ms <= MAX_MS else FAR_MS

    return DateTest(holds, next_change)


def _ahead(operator: str, operand: object) -> tuple[int, int]:
    """(low, high): the operator holds of values at least ``low`` and less than ``high`` ms ahead."""
    match operator, operand:
        case "older_than", int(length_ms):
            return -_ALWAYS_MS, 1 - length_ms
        case "newer_than", int(length_ms):
            return 1 - length_ms, _ALWAYS_MS
        case "in_next", int(length_ms):
            return 0, length_ms
        case "between_next", (int(near_ms), int(far_ms)):
            return near_ms, far_ms
    raise ValueError(f"{operator} can't take {operand!r}")


_ALWAYS_MS: Final = 10**400
"""Further ahead, or back, than any number that a record can have."""


def read_date(value: object, calendar: Calendar) -> int | None:
    """UTC milliseconds of what date operators take: an instant or date as text, or a number."""
    if type(value) is int or type(value) is float:
        try:
            return number_ms(value)
        except (ValueError, OverflowError):  # not a finite number
            return None
    return _read_text(value, calendar)


def _read_text(value: object, calendar: Calendar) -> int | None:
    if type(value) is not str:
        return None
    try:
        return instant_in_zone(value, calendar)
    except (ValueError, OverflowError):
        return None


def _in_order(operator: str, operand: object, calendar: Calendar) -> Callable[[object], bool]:
    """A comparison of texts that are instants or dates with one, or with two of them."""
    ends = [_read_text(each, calendar) for each in (operand if isinstance(operand, tuple) else (operand,))]
    low, high = ends[0], ends[-1]
    if low is None or high is None:
        raise ValueError(f"{operand!r} is no instant")
    if operator == "between":
        return lambda value: (instant := _read_text(value, calendar)) is not None and low <= instant <= high
    compare = ORDER[operator]
    return lambda value: (instant := _read_text(value, calendar)) is not None and compare(instant, low)


def order_against(operator: str, value: object, operand: object, calendar: Calendar) -> bool:
    """A comparison whose operand is data, too (a ``ref``)."""
    if type(operand) is not str:
        return holds_against(operator, value, operand)
    instant, bound = _read_text(value, calendar), _read_text(operand, calendar)
    return instant is not None and bound is not None and ORDER[operator](instant, bound)


def _anniversary(length_ms: int, calendar: Calendar) -> DateTest:
    def span(value: object, at_ms: int) -> tuple[int, int] | None:
        """The first stretch in which an anniversary holds and that isn't over at ``at_ms``."""
        instant = read_date(value, calendar)
        if instant is None or not MIN_MS <= instant <= MAX_MS:
            return None
        is_date = isinstance(value, str) and len(value) == 10
        day = date.fromisoformat(str(value)) if is_date else calendar.date(instant)
        year = max(day.year + 1, calendar.date(at_ms).year)
        while year < 9998:
            ordinal = _in_year(day, year).toordinal()
            end_ms = calendar.start("day", ordinal + 1)
            if end_ms > at_ms:
                return calendar.start("day", ordinal) - length_ms, end_ms
            year += 1
        return None

    def holds(value: object, at_ms: int) -> bool:
        found = span(value, at_ms)
        return found is not None and found[0] <= at_ms

    def next_change(value: object, after_ms: int) -> int:
        found = span(value, after_ms)
        if found is None:
            return FAR_MS
        return found[0] if found[0] > after_ms else found[1]

    return DateTest(holds, next_change)


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


DatedCheck: TypeAlias = Callable[[Any, int], bool]
"""A predicate over an object at an instant (an event's properties at its time)."""


def is_dated(predicate: language.Predicate | None) -> bool:
    """Whether a predicate needs a clock or a calendar, so that ``compile_predicate`` can't compile it."""
    return any(
        test.operator in DATE_OPERATORS or is_order_of_dates(test) for test in language.tests_of(predicate)
    )


def compile_dated_predicate(predicate: language.Predicate, calendar: Calendar) -> DatedCheck:
    """A closure with the truth of ``predicate`` for an object whose clock is at the given instant."""
    if not is_dated(predicate):
        check = compile_predicate(predicate)
        return lambda properties, at_ms: check(properties)
    match predicate:
        case language.Test(path=path, operator=operator, operand=operand) if is_order_of_dates(predicate):
            in_order, get = _in_order(operator, operand, calendar), getter_of(path)
            return lambda properties, at_ms: in_order(get(properties))
        case language.Test(path=path, operator=operator, operand=operand):
            holds, get = compile_date_test(operator, operand, calendar).holds, getter_of(path)
            return lambda properties, at_ms: holds(get(properties), at_ms)
        case language.Elements(path=path, quantifier=quantifier, test=test):
            of_one, get = compile_dated_predicate(test, calendar), getter_of(path)
            decide, subject = decider_of(quantifier), subject_of(test)
            return lambda properties, at_ms: decide(
                of_one(subject(element), at_ms) for element in elements_of(get(properties))
            )
        case language.NotTest(part=part):
            inner = compile_dated_predicate(part, calendar)
            return lambda properties, at_ms: not inner(properties, at_ms)
        case language.AllTests(parts=parts):
            checks = [compile_dated_predicate(part, calendar) for part in parts]
            return lambda properties, at_ms: all(check(properties, at_ms) for check in checks)
        case language.AnyTest(parts=parts):
            checks = [compile_dated_predicate(part, calendar) for part in parts]
            return lambda properties, at_ms: any(check(properties, at_ms) for check in checks)


Change: TypeAlias = Callable[[Any, int], int]
"""After an instant, when a date test of an object may change by time; ``FAR_MS``: never."""


def changes_of(predicate: language.Predicate, calendar: Calendar) -> list[Change]:
    """When the date tests in a predicate may change, each by itself; of lists those of every element."""
    match predicate:
        case language.Test(path=path, operator=operator, operand=operand) if operator in DATE_OPERATORS:
            return [_change_of_test(compile_date_test(operator, operand, calendar), path)]
        case language.Elements(path=path, test=test):
            inner = changes_of(test, calendar)
            return [_change_of_elements(inner, path, subject_of(test))] if inner else []
        case language.NotTest(part=part):
            return changes_of(part, calendar)
        case language.AllTests(parts=parts) | language.AnyTest(parts=parts):
            return [change for part in parts for change in changes_of(part, calendar)]
        case language.Test():
            return []


def _change_of_test(test: DateTest, path: language.Path) -> Change:
    next_change, get = test.next_change, getter_of(path)
    return lambda properties, after_ms: next_change(get(properties), after_ms)


def _change_of_elements(inner: list[Change], path: language.Path, subject: Callable[[object], Any]) -> Change:
    get = getter_of(path)
    return lambda properties, after_ms: min(
        (change(subject(element), after_ms) for element in elements_of(get(properties)) for change in inner),
        default=FAR_MS,
    )
