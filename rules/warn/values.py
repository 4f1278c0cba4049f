"""Whether one value can pass several tests at once (docs/semantics.md, section 7).

The kinds of JSON value are gone through, a property that is missing among them. Of each kind there is a value
that passes, or it is certain that there is none; where that isn't certain, there may be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Final

from rules.model import language
from rules.predicates.operators import ValueTest, compile_operator, read_instant
from rules.predicates.paths import MISSING
from rules.time.durations import UNITS_MS

NEGATIONS: Final = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
DATES: Final = frozenset({"older_than", "newer_than", "in_next", "between_next", "anniversary"})
"""True only of text and numbers that are instants."""
ORDERED: Final = frozenset({"gt", "gte", "lt", "lte", "between"})
ON_TEXT: Final = frozenset({"starts_with", "ends_with", "icontains", "ieq", "matches"})
ON_LISTS: Final = frozenset({"any_of", "all_of"})
ANY_TEXT: Final = frozenset({"contains", "exists"})
KNOWN: Final = frozenset({"eq", "in"}) | ORDERED | ON_TEXT | ON_LISTS | ANY_TEXT
_DAYS_OFF: Final = 2 * UNITS_MS["d"]
"""How far a date's midnight in some time zone, and that of another date, may lie from those in UTC."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A test that has to be true, or false."""

    operator: str
    operand: Any
    true: bool

    def allows(self, value: object) -> bool:
        """False only where it is certain that ``value`` doesn't do."""
        check = self._check()
        if check is not None:
            return check(value) is self.true
        if self.operator in DATES and self.true:
            return isinstance(value, str | int | float) and not isinstance(value, bool)
        return True

    def _check(self) -> ValueTest | None:
        if self.operator not in KNOWN or isinstance(self.operand, language.Ref):
            return None
        return compile_operator(self.operator, self.operand)


def wanted_of(test: language.Test, true: bool) -> Wanted:
    """A test without negations in its operator."""
    if test.operator == "exists":
        return Wanted("exists", True, true is bool(test.operand))
    if test.operator in NEGATIONS:
        return Wanted(NEGATIONS[test.operator], test.operand, not true)
    return Wanted(test.operator, test.operand, true)


def possible(tests: Sequence[Wanted]) -> bool:
    """Whether some value, or none at all, may pass every test."""
    if any(
        one.true is not other.true and (one.operator, one.operand) == (other.operator, other.operand)
        and type(one.operand) is type(other.operand) and not isinstance(one.operand, language.Ref)
        and one.operator in ON_TEXT | DATES | {"changed_within"}
        for one, other in combinations(tests, 2)
    ):  # fmt: skip
        return False
    simple: tuple[object, ...] = (MISSING, None, True, False, {})
    if any(all(test.allows(value) for test in tests) for value in simple):
        return True
    dated = _ages_meet(tests)
    return _list(tests) or (dated and (_number(tests) or _text(tests)))


# -- lists -----------------------------------------------------------------------------------------------


def _list(tests: Sequence[Wanted]) -> bool:
    needed, banned, choices, partly = set[object](), set[object](), list[set[object]](), list[set[object]]()
    for test in tests:
        operator = test.operator
        if isinstance(test.operand, language.Ref) or operator not in KNOWN:
            if operator in DATES and test.true:
                return False
            continue
        if operator == "exists" and not test.true:
            return False
        if operator == "contains":
            (needed if test.true else banned).add(_identity(test.operand))
        elif operator == "all_of":
            items = set(map(_identity, test.operand))
            if test.true:
                needed |= items
            else:
                partly.append(items)
        elif operator == "any_of":
            items = set(map(_identity, test.operand))
            if test.true:
                choices.append(items)
            else:
                banned |= items
        elif operator != "exists" and test.true:
            return False
    return not (
        needed & banned or any(each <= banned for each in choices) or any(p <= needed for p in partly)
    )


def _identity(value: object) -> object:
    """Equal for scalars that are equal to an operator: ``1`` and ``1.0`` are, ``1`` and ``true`` aren't."""
    return (type(value).__name__, value) if isinstance(value, bool) or value is None else value


# -- numbers ---------------------------------------------------------------------------------------------


def _number(tests: Sequence[Wanted]) -> bool:
    bounds = [each for test in tests for each in _operands(test) if _is_number(each)]
    candidates = representatives(bounds)
    if candidates is None:
        return True
    return any(all(test.allows(value) for test in tests) for value in candidates)


def representatives(bounds: Iterable[int | float]) -> list[int | float] | None:
    """A number of each class that comparisons with the bounds tell apart; None: one can't be written."""
    marks: list[int | float] = sorted(set(bounds))
    if not marks:
        return [0]
    found: list[int | float] = [*marks]
    low, high = marks[0] - max(1, abs(marks[0])), marks[-1] + max(1, abs(marks[-1]))
    for left, right in pairwise(marks):
        middle: int | float = (left + right) / 2
        if not left < middle < right:
            middle = int(left) + 1
        if not left < middle < right:
            return None
        found.append(middle)
    if not low < marks[0] or not high > marks[-1] or low == float("-inf") or high == float("inf"):
        return None
    return [low, *found, high]


def _operands(test: Wanted) -> tuple[Any, ...]:
    return test.operand if isinstance(test.operand, tuple) else (test.operand,)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ages_meet(tests: Sequence[Wanted]) -> bool:
    """Whether some instant is as old as all date operators ask for. An age is negative in the future."""
    youngest, oldest = float("-inf"), float("inf")
    for test in tests:
        operand = test.operand
        if not test.true or isinstance(operand, language.Ref):
            continue
        match test.operator:
            case "older_than":
                youngest = max(youngest, operand)
            case "newer_than":
                oldest = min(oldest, operand - 1)
            case "in_next":
                youngest, oldest = max(youngest, 1 - operand), min(oldest, 0)
            case "between_next" if isinstance(operand, tuple):
                youngest, oldest = max(youngest, 1 - operand[1]), min(oldest, -operand[0])
    return youngest <= oldest


# -- text ------------------------------------------------------------------------------------------------


def _text(tests: Sequence[Wanted]) -> bool:
    sure = [each for each in tests if each.operator in KNOWN and not isinstance(each.operand, language.Ref)]
    exact = [_texts(each) for each in sure if each.true and each.operator in ("eq", "in")]
    if exact:
        return any(all(test.allows(text) for test in tests) for text in exact[0])
    for test in sure:
        if test.true and not _suits_text(test):
            return False
        if not test.true and (test.operator == "exists" or (test.operator in _PARTS and test.operand == "")):
            return False
    return _instants_meet(sure) and _parts_meet(sure)


def _texts(test: Wanted) -> list[str]:
    return [each for each in _operands(test) if isinstance(each, str)]


def _suits_text(test: Wanted) -> bool:
    if test.operator in ORDERED or test.operator == "contains":
        return bool(_texts(test))
    return test.operator not in ON_LISTS


def _instants_meet(tests: Sequence[Wanted]) -> bool:
    low, high, slack = float("-inf"), float("inf"), 0
    for test in tests:
        if test.operator not in ORDERED or not test.true:
            continue
        ends = [read_instant(each) for each in _texts(test)]
        if not ends or None in ends:
            return True
        slack = _DAYS_OFF if any(len(each) == 10 for each in _texts(test)) else slack
        first, last = ends[0] or 0, ends[-1] or 0
        if test.operator in ("gt", "gte", "between"):
            low = max(low, first + (test.operator == "gt"))
        if test.operator in ("lt", "lte", "between"):
            high = min(high, last - (test.operator == "lt"))
    return low <= high + slack


_PARTS: Final = frozenset({"starts_with", "ends_with", "contains", "icontains"})


def _parts_meet(tests: Sequence[Wanted]) -> bool:
    """Whether beginnings, ends and parts may be of one text."""

    def of(operator: str, true: bool) -> list[str]:
        return [
            each.operand
            for each in tests
            if each.operator == operator and each.true is true and isinstance(each.operand, str)
        ]

    starts, ends, folded = of("starts_with", True), of("ends_with", True), of("ieq", True)
    if any(not (a.startswith(b) or b.startswith(a)) for a, b in combinations(starts, 2)):
        return False
    if any(not (a.endswith(b) or b.endswith(a)) for a, b in combinations(ends, 2)):
        return False
    parts = [*starts, *ends, *of("contains", True)]
    if any(banned in each for banned in of("contains", False) for each in parts):
        return False
    if any(each.startswith(banned) for banned in of("starts_with", False) for each in starts):
        return False
    if any(each.endswith(banned) for banned in of("ends_with", False) for each in ends):
        return False
    loose = [each.casefold() for each in (*parts, *of("icontains", True))]
    if any(
        banned.casefold() in each
        for banned in of("icontains", False)
        for each in (*loose, *map(str.casefold, folded))
    ):
        return False
    whole = {each.casefold() for each in folded}
    if len(whole) > 1:
        return False
    return all(part in text for text in whole for part in loose)
