"""Predicates over objects, compiled to closures: operators on the values at paths, composed (section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from rules.model import language
from rules.predicates.elements import decider_of, subject_of
from rules.predicates.operators import ValueTest, compile_operator
from rules.predicates.paths import MISSING, Getter, elements_of, getter_of

Check: TypeAlias = Callable[[Any], bool]
"""A compiled predicate over an object (an event's properties, a user's attributes, an element of a list)."""


def compile_predicate(predicate: language.Predicate) -> Check:
    """A closure with the truth of ``predicate`` for an object."""
    match predicate:
        case language.Test():
            return _compile_test(predicate)
        case language.Elements(path=path, quantifier=quantifier, test=test):
            return _compile_elements(getter_of(path), quantifier, test)
        case language.NotTest(part=part):
            inner = compile_predicate(part)
            return lambda properties: not inner(properties)
        case language.AllTests(parts=parts):
            return _all_of([compile_predicate(part) for part in parts])
        case language.AnyTest(parts=parts):
            return _any_of([compile_predicate(part) for part in parts])


def _compile_test(test: language.Test) -> Check:
    path, operator, operand = test.path, test.operator, test.operand
    if len(path) != 1:
        check, get = compile_operator(operator, operand), getter_of(path)
        return lambda properties: check(get(properties))
    name = path[0]
    if operator == "eq" and type(operand) is str:  # by far the most common: no second call
        return lambda properties: properties.get(name) == operand
    check = compile_operator(operator, operand)
    return lambda properties: check(properties.get(name, MISSING))


def _compile_elements(get: Getter, quantifier: language.Quantifier, test: language.Predicate) -> Check:
    check, decide, subject = compile_predicate(test), decider_of(quantifier), subject_of(test)
    return lambda properties: decide(check(subject(element)) for element in elements_of(get(properties)))


def _all_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda properties: first(properties) and second(properties)

    def every(properties: Mapping[str, object]) -> bool:
        for check in checks:  # noqa: SIM110 (all() with a generator costs twice as much)
            if not check(properties):
                return False
        return True

    return every


def _any_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda properties: first(properties) or second(properties)

    def some(properties: Mapping[str, object]) -> bool:
        for check in checks:  # noqa: SIM110
            if check(properties):
                return True
        return False

    return some


def holds_against(operator: str, value: object, operand: object) -> bool:
    """An operator whose operand is data, too (a ``ref``): null or of another type it acts as missing."""
    negated = _NEGATIONS.get(operator)
    if negated is not None:
        return not holds_against(negated, value, operand)
    kind = type(operand)
    if kind is not str and kind is not int and kind is not float and kind is not bool:
        return False
    return _against(operator, operand, kind)(value)


_NEGATIONS: Final = {"ne": "eq", "not_contains": "contains"}
_TEXT_ONLY: Final = frozenset({"starts_with", "ends_with", "icontains", "ieq"})


@lru_cache(maxsize=4096)
def _against(operator: str, operand: object, kind: type) -> ValueTest:
    """Compiled once per operand; ``kind`` keeps 1, 1.0 and true apart."""
    if operator in _TEXT_ONLY and kind is not str:
        return _never
    try:
        return compile_operator(operator, operand)
    except ValueError:  # to be ordered, but neither a number nor an instant
        return _never


def _never(value: object) -> bool:
    return False
