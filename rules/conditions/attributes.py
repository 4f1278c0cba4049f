"""Conditions on attributes, against the clock where an operator is about dates or changes (section 6)."""

from __future__ import annotations

from typing import Final

from rules.conditions.truth import CompiledRule, NextChange, Truth, never
from rules.model import language
from rules.predicates.compiled import compile_predicate
from rules.predicates.dates import DATE_OPERATORS, compile_date_test
from rules.predicates.paths import getter_of, prefixes_of
from rules.state.profile_update import last_change_ms
from rules.state.row import Row
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

MAX_LOOKS: Final = 64
"""How many possible changes are looked at before the last of them is the answer, a lower bound: an
anniversary comes every year, and may never be what decides."""


def compile_attribute(source: language.AttributeCondition, calendar: Calendar) -> CompiledRule:
    """The tests on one attribute. They keep no state: the row has the attributes and when they changed."""
    changes: list[NextChange] = []
    truth = _compile(source.test, calendar, changes)
    if not changes:
        return CompiledRule(truth, never)

    def change(row: Row, after_ms: int) -> int:
        now, at_ms = truth(row, after_ms), after_ms
        for _ in range(MAX_LOOKS):
            at_ms = min(each(row, at_ms) for each in changes)
            if at_ms >= FAR_MS or truth(row, at_ms) != now:
                break
        return at_ms

    return CompiledRule(truth, change)


def _compile(predicate: language.Predicate, calendar: Calendar, changes: list[NextChange]) -> Truth:
    match predicate:
        case language.Test(path=path, operator="changed_within", operand=int(length_ms)):
            return _changed_within(path, length_ms, changes)
        case language.Test(path=path, operator=operator, operand=operand) if operator in DATE_OPERATORS:
            test = compile_date_test(operator, operand, calendar)
            holds, next_change, get = test.holds, test.next_change, getter_of(path)
            changes.append(lambda row, after_ms: next_change(get(row.attributes), after_ms))
            return lambda row, at_ms: holds(get(row.attributes), at_ms)
        case language.Test():
            check = compile_predicate(predicate)
            return lambda row, at_ms: check(row.attributes)
        case language.NotTest(part=part):
            inner = _compile(part, calendar, changes)
            return lambda row, at_ms: not inner(row, at_ms)
        case language.AllTests(parts=parts):
            every = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: all(each(row, at_ms) for each in every)
        case language.AnyTest(parts=parts):
            some = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: any(each(row, at_ms) for each in some)


def attribute_roots(predicate: language.Predicate) -> set[str]:
    """The attributes that a predicate may read: each that the longest prefix of a name may be."""
    return {root for test in language.tests_of(predicate) for root in prefixes_of(test.path)}


def watched_paths(predicate: language.Predicate) -> set[language.Path]:
    """The paths deep in attributes of which the predicate asks when they changed."""
    tests = language.tests_of(predicate)
    return {test.path for test in tests if test.operator == "changed_within" and len(test.path) > 1}


def _changed_within(path: language.Path, length_ms: int, changes: list[NextChange]) -> Truth:
    def end_ms(row: Row) -> int:
        changed_ms = last_change_ms(row, path)
        return -FAR_MS if changed_ms is None else changed_ms + length_ms

    def next_change(row: Row, after_ms: int) -> int:
        end = end_ms(row)
        return end if end > after_ms else FAR_MS

    changes.append(next_change)
    return lambda row, at_ms: at_ms < end_ms(row)
