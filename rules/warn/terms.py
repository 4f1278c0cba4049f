"""Compositions as a choice of terms: in each of them certain tests or conditions are true, others false."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from math import comb
from typing import TypeAlias, TypeVar

from rules.model import language
from rules.model.points import in_whole_numbers
from rules.predicates.comparisons import comparison_of
from rules.warn.values import Wanted, possible, wanted_of

MOST_TERMS = 400
"""With more than so many nothing is said."""

TestTerm: TypeAlias = tuple[tuple[language.Test, bool], ...]
Term: TypeAlias = tuple[tuple[language.Condition, bool], ...]


T = TypeVar("T")


class TooMany(Exception):
    """A composition has more terms than are looked at."""


def can_be(predicate: language.Predicate, true: bool) -> bool:
    """Whether some object may make a predicate true (or false)."""
    try:
        found = _test_terms(predicate, true)
    except TooMany:
        return True
    return any(map(_tests_meet, found))


def _tests_meet(term: TestTerm) -> bool:
    by_path: dict[language.Path, list[Wanted]] = {}
    for test, true in term:
        if any("[]" in each for each in test.path):  # of any element; false of an empty list
            if true and not possible([wanted_of(test, True)]):
                return False
            continue
        by_path.setdefault(test.path, []).append(wanted_of(test, true))
    return all(map(possible, by_path.values()))


def _test_terms(predicate: language.Predicate, true: bool) -> list[TestTerm]:
    match predicate:
        case language.Test():
            return [((predicate, true),)]
        case language.NotTest(part=part):
            return _test_terms(part, not true)
        case language.AllTests(parts=parts):
            found = [_test_terms(part, true) for part in parts]
            return _together(found) if true else _either(found)
        case language.AnyTest(parts=parts):
            found = [_test_terms(part, true) for part in parts]
            return _either(found) if true else _together(found)
    return [()]


def rule_terms(rule: language.Rule, true: bool) -> list[Term]:
    """The ways in which a rule is true (or false). Raises TooMany."""
    match rule:
        case language.Not(part=part):
            return rule_terms(part, not true)
        case language.All(parts=parts):
            found = [rule_terms(part, true) for part in parts]
            return _together(found) if true else _either(found)
        case language.Any(parts=parts):
            found = [rule_terms(part, true) for part in parts]
            return _either(found) if true else _together(found)
        case language.AtLeast(n=n, parts=parts):
            return _at_least(parts, n if true else len(parts) - n + 1, true)
        case language.Score():
            return _score(rule, true)
        case _:
            return [((rule, true),)]


def _at_least(parts: Sequence[language.Rule], n: int, true: bool) -> list[Term]:
    if comb(len(parts), n) > MOST_TERMS:
        raise TooMany
    each = [rule_terms(part, true) for part in parts]
    return _either(_together(chosen) for chosen in combinations(each, n))


def _score(rule: language.Score, true: bool) -> list[Term]:
    if 2 ** len(rule.parts) > MOST_TERMS:
        raise TooMany
    points, comparisons = in_whole_numbers([points for _, points in rule.parts], rule.comparisons)
    enough = comparison_of(comparisons)
    found = []
    for values in product((True, False), repeat=len(points)):
        if enough(sum(p for p, value in zip(points, values, strict=True) if value)) is true:
            parts = zip(rule.parts, values, strict=True)
            found.append(_together([rule_terms(part, value) for (part, _), value in parts]))
    return _either(found)


def _either(options: Iterable[list[tuple[T, ...]]]) -> list[tuple[T, ...]]:
    found = [term for terms in options for term in terms]
    if len(found) > MOST_TERMS:
        raise TooMany
    return found


def _together(parts: Iterable[list[tuple[T, ...]]]) -> list[tuple[T, ...]]:
    found: list[tuple[T, ...]] = [()]
    for terms in parts:
        if len(found) * len(terms) > MOST_TERMS:
            raise TooMany
        found = [(*before, *term) for before in found for term in terms]
    return found
