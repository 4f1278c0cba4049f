"""Conditions on attributes, against the clock where an operator is about dates or changes (section 6)."""

from __future__ import annotations

from typing import Final

from rules.conditions.truth import CompiledRule, NextChange, Truth, never
from rules.model import language
from rules.predicates.compiled import compile_predicate
from rules.predicates.dates import Change, changes_of, compile_dated_predicate, is_dated
from rules.predicates.paths import prefixes_of
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
    if not any(test.operator == "changed_within" for test in language.tests_of(predicate)):
        return _of_values(predicate, calendar, changes)
    match predicate:
        case language.Test(path=path, operand=int(length_ms)):
            return _changed_within(path, length_ms, changes)
        case language.NotTest(part=part):
            inner = _compile(part, calendar, changes)
            return lambda row, at_ms: not inner(row, at_ms)
        case language.AllTests(parts=parts):
            every = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: all(each(row, at_ms) for each in every)
        case language.AnyTest(parts=parts):
            some = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: any(each(row, at_ms) for each in some)
        case _:
            raise TypeError(f"no attribute tells when this changed: {predicate}")


def _of_values(predicate: language.Predicate, calendar: Calendar, changes: list[NextChange]) -> Truth:
    """What the attributes' values decide, against the clock where dates are about it."""
    if not is_dated(predicate):
        check = compile_predicate(predicate)
        return lambda row, at_ms: check(row.attributes)
    changes += [_of_attributes(change) for change in changes_of(predicate, calendar)]
    dated = compile_dated_predicate(predicate, calendar)
    return lambda row, at_ms: dated(row.attributes, at_ms)


def _of_attributes(change: Change) -> NextChange:
    return lambda row, after_ms: change(row.attributes, after_ms)


def attribute_roots(predicate: language.Predicate) -> set[str]:
    """The attributes that a predicate may read: each that the longest prefix of a name may be."""
    return {root for path in language.paths_of(predicate) for root in prefixes_of(path)}


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
