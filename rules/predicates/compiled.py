"""Predicates over objects, compiled to functions: operators on the values at paths, composed (section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from rules.model import language
from rules.model.keys import is_order_of_dates
from rules.predicates.dates import DATE_OPERATORS, date_test, order_of_dates
from rules.predicates.elements import decider_of, subject_of
from rules.predicates.operators import compile_operator
from rules.predicates.paths import elements_of, getter_of
from rules.time.calendar import Calendar, calendar_of
from rules.time.instants import FAR_MS

DatedCheck: TypeAlias = Callable[[Any, int], bool]
"""A predicate over an object (an event's properties, attributes, an element of a list) at an instant:
the event's time, or the present."""

Check: TypeAlias = Callable[[Any], bool]
"""A predicate that needs no clock."""

Change: TypeAlias = Callable[[Any, int], int]
"""After an instant, when a date test of an object may change by time; ``FAR_MS``: never."""


def compile_predicate(predicate: language.Predicate) -> Check:
    """The truth of a predicate without date operators. Dates that it compares are midnights in UTC."""
    check = compile_dated_predicate(predicate, calendar_of("UTC"))
    return lambda properties: check(properties, 0)


def compile_dated_predicate(predicate: language.Predicate, calendar: Calendar) -> DatedCheck:
    """The truth of a predicate, in the calendar of the audience."""
    match predicate:
        case language.Test(path=path, operator=operator, operand=operand) if operator in DATE_OPERATORS:
            test, get = date_test(operator, operand, calendar), getter_of(path)
            return lambda properties, at_ms: test.holds(get(properties), at_ms)
        case language.Test(path=path, operator=operator, operand=operand):
            get = getter_of(path)
            if is_order_of_dates(predicate):
                check = order_of_dates(operator, operand, calendar)
            else:
                check = compile_operator(operator, operand)
            return lambda properties, at_ms: check(get(properties))
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


def is_dated(predicate: language.Predicate | None) -> bool:
    """Whether a predicate needs a clock or a calendar."""
    return any(
        test.operator in DATE_OPERATORS or is_order_of_dates(test) for test in language.tests_of(predicate)
    )


def changes_of(predicate: language.Predicate, calendar: Calendar) -> list[Change]:
    """When the date tests in a predicate may change, each by itself; of lists those of every element."""
    match predicate:
        case language.Test(path=path, operator=operator, operand=operand) if operator in DATE_OPERATORS:
            test, get = date_test(operator, operand, calendar), getter_of(path)
            return [lambda properties, after_ms: test.next_change(get(properties), after_ms)]
        case language.Elements(path=path, test=test):
            inner = changes_of(test, calendar)
            return [_change_of_elements(inner, path, subject_of(test))] if inner else []
        case language.NotTest(part=part):
            return changes_of(part, calendar)
        case language.AllTests(parts=parts) | language.AnyTest(parts=parts):
            return [change for part in parts for change in changes_of(part, calendar)]
        case language.Test():
            return []


def _change_of_elements(inner: list[Change], path: language.Path, subject: Callable[[object], Any]) -> Change:
    get = getter_of(path)
    return lambda properties, after_ms: min(
        (change(subject(element), after_ms) for element in elements_of(get(properties)) for change in inner),
        default=FAR_MS,
    )
