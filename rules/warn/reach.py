"""Whether a rule, a condition or an audience can be true, or false, of some user with some history.

Sound, not complete: False says that it certainly can't.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Final

from rules.model import language
from rules.predicates.comparisons import comparison_of
from rules.time.durations import UNITS_MS
from rules.warn.terms import Term, TooMany, can_be, rule_terms
from rules.warn.values import representatives

_WHOLE: Final = frozenset({"count", "distinct", "days", "since_last", "since_first"})
_NONE_WITHOUT_EVENTS: Final = frozenset({"avg", "min", "max", "since_last", "since_first"})
_SHORTEST_DAY_MS: Final = 23 * UNITS_MS["h"]
_DAYS: Final[Mapping[language.PeriodUnit, int]] = {"hour": 1, "day": 1, "week": 7, "month": 31, "year": 366}


class Reach:
    """Of the audiences of one project, by id."""

    def __init__(self, audiences: Mapping[str, language.Audience]) -> None:
        self._audiences = audiences
        self._known: dict[tuple[str, bool], bool] = {}

    def audience(self, audience_id: str, inside: bool) -> bool:
        """Whether a user who is known can be in an audience (or out of it)."""
        audience = self._audiences.get(audience_id)
        if audience is None or (not inside and audience.schedule is not None):  # out until it is computed
            return True
        key = audience_id, inside
        if key not in self._known:
            self._known[key] = True  # what a circle rests on, which is refused anyway
            self._known[key] = self.rule(audience.rule, inside)
        return self._known[key]

    def rule(self, rule: language.Rule, true: bool) -> bool:
        try:
            terms = rule_terms(rule, true)
        except TooMany:
            return True
        return any(map(self._meet, terms))

    def event(self, pattern: language.EventPattern) -> bool:
        """Whether some event can match."""
        return pattern.where is None or can_be(pattern.where, True)

    def _meet(self, term: Term) -> bool:
        """Whether all conditions of a term can be as it says at one instant."""
        wanted = dict[language.Condition, bool]()
        attributes: list[language.Predicate] = []
        numbers: dict[object, list[tuple[language.EventCondition, bool]]] = {}
        for condition, true in term:
            if wanted.setdefault(condition, true) is not true or not self._condition(condition, true):
                return False
            match condition:
                case language.AttributeCondition(test=test):
                    attributes.append(test if true else language.NotTest(test))
                case language.EventCondition(names=names, where=where, aggregate=aggregate, window=window):
                    same = (names, where, aggregate.kind, aggregate.property, window)
                    numbers.setdefault(same, []).append((condition, true))
        if len(attributes) > 1 and not can_be(language.AllTests(tuple(attributes)), True):
            return False
        if any(not self._number(group) for group in numbers.values() if len(group) > 1):
            return False
        return not any(map(_exclude_each_other, combinations(term, 2)))

    def _condition(self, condition: language.Condition, true: bool) -> bool:
        match condition:
            case language.AttributeCondition(test=test):
                return can_be(test, true)
            case language.InAudience(audience=audience, for_ms=for_ms):
                return (not true and for_ms is not None) or self.audience(audience, true)
            case language.EventCondition():
                return self._number([(condition, true)])
            case language.Sequence(steps=steps):
                return not true or all(self.event(step.event) for step in steps)
            case language.NotFollowed(event=event):
                return not true or self.event(event)

    def _number(self, wanted: Sequence[tuple[language.EventCondition, bool]]) -> bool:
        """Whether one value of an aggregate can be as all the conditions on it ask."""
        first = wanted[0][0]
        aggregate, window = first.aggregate, first.window
        happens = self.event(language.EventPattern(first.names, first.where))
        if isinstance(window, language.SinceEntry):
            happens = happens and self.audience(window.audience, True)
        if aggregate.kind in ("first", "last"):
            return self._end(wanted, happens)
        tests = [(comparison_of(each.aggregate.comparisons), true) for each, true in wanted]
        if aggregate.kind in _NONE_WITHOUT_EVENTS:
            if not any(true for _, true in tests):
                return True
            if not happens:
                return False
        elif not happens:
            return all(test(0) is true for test, true in tests)
        candidates = _candidates([each for each, _ in wanted])
        return candidates is None or any(all(test(v) is true for test, true in tests) for v in candidates)

    @staticmethod
    def _end(wanted: Sequence[tuple[language.EventCondition, bool]], happens: bool) -> bool:
        """Of ``first`` and ``last``: the event that they are about passes its ``where``, too."""
        if not any(true for _, true in wanted):
            return True  # there may be no event
        parts: list[language.Predicate] = [] if wanted[0][0].where is None else [wanted[0][0].where]
        for each, true in wanted:
            if each.aggregate.test is not None:
                parts.append(each.aggregate.test if true else language.NotTest(each.aggregate.test))
        return happens and can_be(language.AllTests(tuple(parts)), True)


def _exclude_each_other(
    pair: tuple[tuple[language.Condition, bool], tuple[language.Condition, bool]],
) -> bool:
    """In an audience for so long, but not in it."""
    conditions = [condition for condition, _ in pair]
    if not all(isinstance(each, language.InAudience) for each in conditions):
        return False
    truths = {
        each.for_ms is None: true
        for each, true in pair
        if isinstance(each, language.InAudience) and each.audience == getattr(conditions[0], "audience", "")
    }
    return truths.get(True) is False and truths.get(False) is True


def _candidates(conditions: Sequence[language.EventCondition]) -> list[int | float] | None:
    """A value of each class that the comparisons tell apart, among those that the aggregate can have; None:
    any number."""
    first = conditions[0]
    bounds: list[int | float] = []
    for each in conditions:
        for comparison in each.aggregate.comparisons:
            operand = comparison.operand
            bounds += operand if isinstance(operand, tuple) else (operand,)
    if first.aggregate.kind not in _WHOLE:
        return representatives(bounds)
    low, high = _range(first.aggregate.kind, first.window)
    near = {int(bound) + step for bound in bounds for step in (-1, 0, 1)} | {
        int(low),
        int(min(high, 1 << 62)),
    }
    return [each for each in sorted(near) if low <= each <= high]


def _range(kind: language.AggregateKind, window: language.Window) -> tuple[float, float]:
    """The least and the greatest value that it can have, with events or without."""
    if kind == "days":
        return 0, _most_days(window)
    if kind in ("since_last", "since_first"):
        match window:
            case language.Within(length_ms=length_ms):
                return 0, length_ms - 1
            case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
                return near_ms, far_ms - 1
    return 0, inf


def _most_days(window: language.Window) -> float:
    """How many calendar days it can touch."""
    match window:
        case language.Within(length_ms=length_ms):
            return length_ms // _SHORTEST_DAY_MS + 2
        case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
            return (far_ms - near_ms) // _SHORTEST_DAY_MS + 2
        case language.Period(unit="hour", length=length):
            return length // 23 + 2
        case language.Period(unit=unit, length=length):
            return length * _DAYS[unit]
    return inf
