"""Conditions on attributes, against the clock where an operator is about dates or changes (section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from rules.model import language
from rules.predicates.compiled import Change, changes_of, compile_dated_predicate
from rules.predicates.paths import prefixes_of
from rules.state.profile_update import last_change_ms
from rules.state.row import Row
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

MAX_LOOKS: Final = 64
"""How many possible changes are looked at before the last of them is the answer, a lower bound: an
anniversary comes every year, and may never be what decides."""

Holds: TypeAlias = Callable[[Row, int], bool]
NextChange: TypeAlias = Callable[[Row, int], int]
"""After an instant, when one test may change by time; ``FAR_MS``: never."""


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """The tests on one attribute. They keep no state: the row has the attributes and when they changed."""

    holds: Holds
    changes: tuple[NextChange, ...]
    """Of each test that time may change."""

    def truth(self, row: Row, at_ms: int) -> bool:
        return self.holds(row, at_ms)

    def change(self, row: Row, after_ms: int) -> int:
        now, at_ms = self.holds(row, after_ms), after_ms
        for _ in range(MAX_LOOKS):
            at_ms = min((each(row, at_ms) for each in self.changes), default=FAR_MS)
            if at_ms >= FAR_MS or self.holds(row, at_ms) != now:
                break
        return at_ms


def compile_attribute(source: language.AttributeCondition, calendar: Calendar) -> AttributeRule:
    """The rule that an attribute condition is."""
    return AttributeRule(_holds(source.test, calendar), tuple(_changes(source.test, calendar)))


def _asks_for_changes(predicate: language.Predicate) -> bool:
    return any(test.operator == "changed_within" for test in language.tests_of(predicate))


def _holds(predicate: language.Predicate, calendar: Calendar) -> Holds:
    """The truth of tests of values, and of ``changed_within``, which asks the row."""
    if not _asks_for_changes(predicate):
        check = compile_dated_predicate(predicate, calendar)
        return lambda row, at_ms: check(row.attributes, at_ms)
    match predicate:
        case language.Test(path=path, operand=int(length_ms)):
            return lambda row, at_ms: at_ms < _over_ms(row, path, length_ms)
        case language.NotTest(part=part):
            inner = _holds(part, calendar)
            return lambda row, at_ms: not inner(row, at_ms)
        case language.AllTests(parts=parts):
            every = [_holds(part, calendar) for part in parts]
            return lambda row, at_ms: all(each(row, at_ms) for each in every)
        case language.AnyTest(parts=parts):
            some = [_holds(part, calendar) for part in parts]
            return lambda row, at_ms: any(each(row, at_ms) for each in some)
        case _:
            raise TypeError(f"no attribute tells when this changed: {predicate}")


def _changes(predicate: language.Predicate, calendar: Calendar) -> list[NextChange]:
    if not _asks_for_changes(predicate):
        return [_of_attributes(change) for change in changes_of(predicate, calendar)]
    match predicate:
        case language.Test(path=path, operand=int(length_ms)):
            return [_of_window(path, length_ms)]
        case language.NotTest(part=part):
            return _changes(part, calendar)
        case language.AllTests(parts=parts) | language.AnyTest(parts=parts):
            return [change for part in parts for change in _changes(part, calendar)]
        case _:
            raise TypeError(f"no attribute tells when this changed: {predicate}")


def _of_attributes(change: Change) -> NextChange:
    return lambda row, after_ms: change(row.attributes, after_ms)


def _of_window(path: language.Path, length_ms: int) -> NextChange:
    def change(row: Row, after_ms: int) -> int:
        over_ms = _over_ms(row, path, length_ms)
        return over_ms if over_ms > after_ms else FAR_MS

    return change


def _over_ms(row: Row, path: language.Path, length_ms: int) -> int:
    """When ``changed_within`` is over."""
    changed_ms = last_change_ms(row, path)
    return -FAR_MS if changed_ms is None else changed_ms + length_ms


def attribute_roots(predicate: language.Predicate) -> set[str]:
    """The attributes that a predicate may read: each that the longest prefix of a name may be."""
    return {root for path in language.paths_of(predicate) for root in prefixes_of(path)}


def watched_paths(predicate: language.Predicate) -> set[language.Path]:
    """The paths deep in attributes of which the predicate asks when they changed."""
    tests = language.tests_of(predicate)
    return {test.path for test in tests if test.operator == "changed_within" and len(test.path) > 1}
