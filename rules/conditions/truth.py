"""A rule as it runs: its truth at an instant, and when that may change by time alone.

Composition makes the change tight: what a false part holds down can't come up before that part does, however
often the others change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from rules.model import language
from rules.model.points import in_whole_numbers
from rules.predicates.comparisons import Compare, comparison_of
from rules.state.condition import AnyCondition
from rules.state.row import Row
from rules.time.instants import FAR_MS


class CompiledRule(Protocol):
    """A rule, or a part of one."""

    def truth(self, row: Row, at_ms: int) -> bool:
        """The value for a row at an instant."""

    def change(self, row: Row, after_ms: int) -> int:
        """A lower bound on the first instant after ``after_ms`` at which the truth is another than at
        ``after_ms``, if no record comes; ``FAR_MS``: never."""


@dataclass(frozen=True, slots=True)
class StateRule:
    """A condition whose state is in the row."""

    condition: AnyCondition

    def truth(self, row: Row, at_ms: int) -> bool:
        return self.condition.value(row, row.conditions.get(self.condition.key), at_ms)

    def change(self, row: Row, after_ms: int) -> int:
        state = row.conditions.get(self.condition.key)
        if state is None or not self.condition.has_timers:
            return FAR_MS
        timer_ms = self.condition.next_timer(row, state, after_ms)
        return FAR_MS if timer_ms is None else timer_ms


@dataclass(frozen=True, slots=True)
class NotRule:
    part: CompiledRule

    def truth(self, row: Row, at_ms: int) -> bool:
        return not self.part.truth(row, at_ms)

    def change(self, row: Row, after_ms: int) -> int:
        return self.part.change(row, after_ms)


@dataclass(frozen=True, slots=True)
class AllRule:
    """Each false part holds it false."""

    parts: tuple[CompiledRule, ...]

    def truth(self, row: Row, at_ms: int) -> bool:
        return all(part.truth(row, at_ms) for part in self.parts)

    def change(self, row: Row, after_ms: int) -> int:
        holding = [part for part in self.parts if not part.truth(row, after_ms)]
        return _change_of_held(holding, self.parts, row, after_ms)


@dataclass(frozen=True, slots=True)
class AnyRule:
    """Each true part holds it true."""

    parts: tuple[CompiledRule, ...]

    def truth(self, row: Row, at_ms: int) -> bool:
        return any(part.truth(row, at_ms) for part in self.parts)

    def change(self, row: Row, after_ms: int) -> int:
        holding = [part for part in self.parts if part.truth(row, after_ms)]
        return _change_of_held(holding, self.parts, row, after_ms)


def _change_of_held(
    holding: Iterable[CompiledRule], parts: Iterable[CompiledRule], row: Row, after_ms: int
) -> int:
    """While parts hold a rule, the last of them to let go changes it; otherwise any part may."""
    let_go_ms = [part.change(row, after_ms) for part in holding]
    return max(let_go_ms) if let_go_ms else min(part.change(row, after_ms) for part in parts)


@dataclass(frozen=True, slots=True)
class AtLeastRule:
    number: int
    parts: tuple[CompiledRule, ...]

    def truth(self, row: Row, at_ms: int) -> bool:
        return sum(part.truth(row, at_ms) for part in self.parts) >= self.number

    def change(self, row: Row, after_ms: int) -> int:
        timers: dict[bool, list[int]] = {True: [], False: []}
        for part in self.parts:
            timers[part.truth(row, after_ms)].append(part.change(row, after_ms))
        missing = self.number - len(timers[True])
        # So many parts must change before it can: false ones up to the number, or true ones to below it.
        needed = missing if missing > 0 else 1 - missing
        soonest = sorted(timers[missing <= 0])
        return soonest[needed - 1] if needed <= len(soonest) else FAR_MS


@dataclass(frozen=True, slots=True)
class ScoreRule:
    parts: tuple[tuple[CompiledRule, int], ...]
    """Each with its points, in whole numbers."""
    compare: Compare

    def truth(self, row: Row, at_ms: int) -> bool:
        return self.compare(sum(points for part, points in self.parts if part.truth(row, at_ms)))

    def change(self, row: Row, after_ms: int) -> int:
        return min(part.change(row, after_ms) for part, _ in self.parts)


def compile_rule(rule: language.Rule, leaf: Callable[[language.Condition], CompiledRule]) -> CompiledRule:
    """The rule's tree; ``leaf`` gives the parts that are conditions."""

    def built(parts: Iterable[language.Rule]) -> tuple[CompiledRule, ...]:
        return tuple([compile_rule(part, leaf) for part in parts])

    match rule:
        case language.Not(part=part):
            return NotRule(compile_rule(part, leaf))
        case language.All(parts=parts):
            return AllRule(built(parts))
        case language.Any(parts=parts):
            return AnyRule(built(parts))
        case language.AtLeast(n=n, parts=parts):
            return AtLeastRule(n, built(parts))
        case language.Score(parts=scored, comparisons=comparisons):
            points, bounds = in_whole_numbers([each for _, each in scored], comparisons)
            pairs = zip(built([part for part, _ in scored]), points, strict=True)
            return ScoreRule(tuple(pairs), comparison_of(bounds))
        case _:
            return leaf(rule)
