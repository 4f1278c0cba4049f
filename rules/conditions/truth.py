"""From a rule's tree to two closures: its truth, and when that may change by time alone.

``change`` is a lower bound on the first instant after ``after_ms`` at which the truth is another than at
``after_ms``, if no record comes. Composition makes it tight: what a false part holds down can't come up
before that part does, however often the others change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rules.model import language
from rules.model.points import in_whole_numbers
from rules.predicates.comparisons import comparison_of
from rules.state.condition import AnyCondition
from rules.state.row import Row
from rules.time.instants import FAR_MS

Truth: TypeAlias = Callable[[Row, int], bool]
"""The value of a rule for a row at an instant (ms)."""

NextChange: TypeAlias = Callable[[Row, int], int]
"""After an instant (ms): when the value may change by time; ``FAR_MS``: never."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, compiled."""

    truth: Truth
    change: NextChange


def never(row: Row, after_ms: int) -> int:
    """The change of what changes by records only."""
    return FAR_MS


def compile_condition(condition: AnyCondition) -> CompiledRule:
    """A condition whose state is in the row."""
    key, value, next_timer = condition.key, condition.value, condition.next_timer

    def truth(row: Row, at_ms: int) -> bool:
        return value(row, row.conditions.get(key), at_ms)

    if not condition.has_timers:
        return CompiledRule(truth, never)

    def change(row: Row, after_ms: int) -> int:
        state = row.conditions.get(key)
        if state is None:
            return FAR_MS
        timer_ms = next_timer(row, state, after_ms)
        return FAR_MS if timer_ms is None else timer_ms

    return CompiledRule(truth, change)


def compile_rule(rule: language.Rule, leaf: Callable[[language.Condition], CompiledRule]) -> CompiledRule:
    """``leaf`` gives the nodes of the conditions."""
    match rule:
        case language.Not(part=part):
            inner = compile_rule(part, leaf)
            truth = inner.truth
            return CompiledRule(lambda row, at_ms: not truth(row, at_ms), inner.change)
        case language.All(parts=parts):
            return _all([compile_rule(part, leaf) for part in parts])
        case language.Any(parts=parts):
            return _any([compile_rule(part, leaf) for part in parts])
        case language.AtLeast(n=n, parts=parts):
            return _at_least(n, [compile_rule(part, leaf) for part in parts])
        case language.Score(parts=scored, comparisons=comparisons):
            points = [each for _, each in scored]
            return _score([compile_rule(part, leaf) for part, _ in scored], points, comparisons)
        case _:
            return leaf(rule)


def _all(nodes: list[CompiledRule]) -> CompiledRule:
    if len(nodes) == 1:
        return nodes[0]
    if len(nodes) == 2:
        first, second = (node.truth for node in nodes)
        return CompiledRule(lambda row, at_ms: first(row, at_ms) and second(row, at_ms), _held(nodes, False))
    truths = tuple(node.truth for node in nodes)

    def every(row: Row, at_ms: int) -> bool:
        for truth in truths:  # noqa: SIM110 - all() with a generator takes twice the time
            if not truth(row, at_ms):
                return False
        return True

    return CompiledRule(every, _held(nodes, False))


def _any(nodes: list[CompiledRule]) -> CompiledRule:
    if len(nodes) == 1:
        return nodes[0]
    if len(nodes) == 2:
        first, second = (node.truth for node in nodes)
        return CompiledRule(lambda row, at_ms: first(row, at_ms) or second(row, at_ms), _held(nodes, True))
    truths = tuple(node.truth for node in nodes)

    def some(row: Row, at_ms: int) -> bool:
        for truth in truths:  # noqa: SIM110
            if truth(row, at_ms):
                return True
        return False

    return CompiledRule(some, _held(nodes, True))


def _held(nodes: list[CompiledRule], holding: bool) -> NextChange:
    """Of ``all`` (held false by each false part) and ``any`` (held true by each true part).

    While parts hold it, it can't change before the last of them lets go; otherwise any part may change it.
    """
    if all(node.change is never for node in nodes):
        return never
    pairs = tuple((node.truth, node.change) for node in nodes)

    def change(row: Row, after_ms: int) -> int:
        last_ms, soonest_ms = -FAR_MS, FAR_MS
        for truth, part_change in pairs:
            if truth(row, after_ms) is holding:
                timer_ms = part_change(row, after_ms)
                if timer_ms >= FAR_MS:
                    return FAR_MS
                if timer_ms > last_ms:
                    last_ms = timer_ms
            elif last_ms == -FAR_MS:
                timer_ms = part_change(row, after_ms)
                if timer_ms < soonest_ms:
                    soonest_ms = timer_ms
        return soonest_ms if last_ms == -FAR_MS else last_ms

    return change


def _at_least(n: int, nodes: list[CompiledRule]) -> CompiledRule:
    truths = tuple(node.truth for node in nodes)
    pairs = tuple((node.truth, node.change) for node in nodes)

    def truth(row: Row, at_ms: int) -> bool:
        return sum(each(row, at_ms) for each in truths) >= n

    def change(row: Row, after_ms: int) -> int:
        of_true: list[int] = []
        of_false: list[int] = []
        for part_truth, part_change in pairs:
            (of_true if part_truth(row, after_ms) else of_false).append(part_change(row, after_ms))
        missing = n - len(of_true)
        # So many parts must change before it can: the false ones up to n, or the true ones to below n.
        needed, timers = (missing, of_false) if missing > 0 else (1 - missing, of_true)
        return sorted(timers)[needed - 1] if needed <= len(timers) else FAR_MS

    return CompiledRule(truth, never if all(node.change is never for node in nodes) else change)


def _score(
    nodes: list[CompiledRule], points: list[int | float], comparisons: tuple[language.Comparison, ...]
) -> CompiledRule:
    whole, bounds = in_whole_numbers(points, comparisons)
    compare = comparison_of(bounds)
    truths = tuple(zip((node.truth for node in nodes), whole, strict=True))
    changes = tuple(node.change for node in nodes if node.change is not never)

    def truth(row: Row, at_ms: int) -> bool:
        return compare(sum(each for part, each in truths if part(row, at_ms)))

    if not changes:
        return CompiledRule(truth, never)
    return CompiledRule(truth, lambda row, after_ms: min(each(row, after_ms) for each in changes))
