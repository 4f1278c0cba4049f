"""``older_than``, ``newer_than`` and ``anniversary``: instants and dates against a clock (section 7).

The clock is an event's time for its properties, and the present for attributes, which therefore change by
time. A date is its midnight in UTC, as in comparisons; an anniversary is a day of the audience's calendar:
that of a date, or the one on which an instant fell there. It holds from ``within`` before that day begins
until the day is over, from the year after on; who was born on 29 February has 28 February in other years.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

from rules.model import language
from rules.predicates.compiled import compile_predicate
from rules.predicates.operators import lookup, read_instant
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

DATE_OPERATORS: Final = frozenset({"older_than", "newer_than", "anniversary"})


@dataclass(frozen=True, slots=True)
class DateTest:
    """One date operator. ``next_change`` is the first instant after another at which ``holds`` may change."""

    holds: Callable[[object, int], bool]
    next_change: Callable[[object, int], int]
    """``FAR_MS``: never."""


def compile_date_test(operator: str, length_ms: int, calendar: Calendar) -> DateTest:
    """The test of a value against an instant in ms."""
    if operator == "anniversary":
        return _anniversary(length_ms, calendar)
    older = operator == "older_than"

    def holds(value: object, at_ms: int) -> bool:
        instant = read_instant(value)
        return instant is not None and (at_ms - instant >= length_ms) is older

    def next_change(value: object, after_ms: int) -> int:
        instant = read_instant(value)
        return FAR_MS if instant is None or instant + length_ms <= after_ms else instant + length_ms

    return DateTest(holds, next_change)


def _anniversary(length_ms: int, calendar: Calendar) -> DateTest:
    def span(value: object, at_ms: int) -> tuple[int, int] | None:
        """The first stretch in which an anniversary holds and that isn't over at ``at_ms``."""
        instant = read_instant(value)
        if instant is None:
            return None
        assert isinstance(value, str)
        day = date.fromisoformat(value) if len(value) == 10 else calendar.date(instant)
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


DatedCheck: TypeAlias = Callable[[Mapping[str, object], int], bool]
"""A predicate over an object at an instant (an event's properties at its time)."""


def is_dated(predicate: language.Predicate | None) -> bool:
    """Whether a predicate has a date operator, so that ``predicates.compile_predicate`` can't compile it."""
    return any(test.operator in DATE_OPERATORS for test in language.tests_of(predicate))


def compile_dated_predicate(predicate: language.Predicate, calendar: Calendar) -> DatedCheck:
    """A closure with the truth of ``predicate`` for an object whose clock is at the given instant."""
    if not is_dated(predicate):
        check = compile_predicate(predicate)
        return lambda properties, at_ms: check(properties)
    match predicate:
        case language.Test(path=path, operator=operator, operand=operand):
            assert isinstance(operand, int)
            holds = compile_date_test(operator, operand, calendar).holds
            return lambda properties, at_ms: holds(lookup(properties, path), at_ms)
        case language.NotTest(part=part):
            inner = compile_dated_predicate(part, calendar)
            return lambda properties, at_ms: not inner(properties, at_ms)
        case language.AllTests(parts=parts):
            checks = [compile_dated_predicate(part, calendar) for part in parts]
            return lambda properties, at_ms: all(check(properties, at_ms) for check in checks)
        case language.AnyTest(parts=parts):
            checks = [compile_dated_predicate(part, calendar) for part in parts]
            return lambda properties, at_ms: any(check(properties, at_ms) for check in checks)
