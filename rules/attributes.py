"""Conditions on attributes, against the clock where an operator is about dates or changes (section 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from rules import model
from rules.calendar import Calendar
from rules.condition import FAR_MS
from rules.dates import DATE_OPERATORS, compile_date_test
from rules.operators import compile_predicate, lookup
from rules.row import Row

Truth: TypeAlias = Callable[[Row, int], bool]
NextChange: TypeAlias = Callable[[Row, int], int]
"""The first instant after another at which a test may change, ``FAR_MS``: never."""

MAX_LOOKS: Final = 64
"""How many possible changes ``next_flip`` looks at before it answers with the last of them, a lower bound:
an anniversary comes every year, and may never be what decides."""


@dataclass(frozen=True, slots=True)
class AttributeTruth:
    """The run-time form of an ``AttributeCondition``. It keeps no state: the row has the attributes."""

    value: Truth
    changes: tuple[NextChange, ...]
    """One for each test against the clock; none: time changes nothing."""

    def next_flip(self, row: Row, after_ms: int) -> int | None:
        """The first instant after ``after_ms`` at which the value changes, or an earlier one."""
        if not self.changes:
            return None
        now, at_ms = self.value(row, after_ms), after_ms
        for _ in range(MAX_LOOKS):
            at_ms = min(change(row, at_ms) for change in self.changes)
            if at_ms >= FAR_MS:
                return None
            if self.value(row, at_ms) != now:
                return at_ms
        return at_ms


def build_attribute_truth(source: model.AttributeCondition, calendar: Calendar) -> AttributeTruth:
    """Compile the tests on one attribute."""
    changes: list[NextChange] = []
    value = _compile(source.test, calendar, changes)
    return AttributeTruth(value, tuple(changes))


def _compile(predicate: model.Predicate, calendar: Calendar, changes: list[NextChange]) -> Truth:
    match predicate:
        case model.Test(path=path, operator="changed_within", operand=int(length_ms)):
            return _changed_within(path[0], length_ms, changes)
        case model.Test(path=path, operator=operator, operand=int(length_ms)) if operator in DATE_OPERATORS:
            test = compile_date_test(operator, length_ms, calendar)
            holds, next_change = test.holds, test.next_change
            changes.append(lambda row, after_ms: next_change(lookup(row.attributes, path), after_ms))
            return lambda row, at_ms: holds(lookup(row.attributes, path), at_ms)
        case model.Test():
            check = compile_predicate(predicate)
            return lambda row, at_ms: check(row.attributes)
        case model.NotTest(part=part):
            inner = _compile(part, calendar, changes)
            return lambda row, at_ms: not inner(row, at_ms)
        case model.AllTests(parts=parts):
            every = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: all(each(row, at_ms) for each in every)
        case model.AnyTest(parts=parts):
            some = [_compile(part, calendar, changes) for part in parts]
            return lambda row, at_ms: any(each(row, at_ms) for each in some)


def _changed_within(name: str, length_ms: int, changes: list[NextChange]) -> Truth:
    """An attribute changes as a whole: ``address.city`` changed when ``address`` did."""

    def end_ms(row: Row) -> int:
        changed_ms = row.changed_ms.get(name)
        return -FAR_MS if changed_ms is None else changed_ms + length_ms

    def next_change(row: Row, after_ms: int) -> int:
        end = end_ms(row)
        return end if end > after_ms else FAR_MS

    changes.append(next_change)
    return lambda row, at_ms: at_ms < end_ms(row)
