"""The tree of a rule beside what computes it: for explanations, and for the sizes of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.compile.audience import CompiledAudience
from rules.conditions.truth import CompiledRule, compile_rule
from rules.model import language


@dataclass(slots=True)
class Wired:
    """A node of the rule beside what computes it."""

    rule: language.Rule
    node: CompiledRule
    key: int | None
    """Of the condition, when it keeps a state."""
    parts: list[Wired] = field(default_factory=list)
    points: int | float | None = None
    value: bool = False
    timer_ms: int | None = None

    def flat(self) -> list[Wired]:
        """This node and all below it."""
        return [self, *(each for part in self.parts for each in part.flat())]


def wire(audience: CompiledAudience) -> Wired:
    """The tree of the audience's rule. That of a batch audience stands under a node for the schedule."""
    root = _Wiring(audience).wire(audience.source.rule)
    if audience.schedule is None:
        return root
    return Wired(audience.source.rule, audience.decided, None, [root])


class _Wiring:
    """Puts the compiled conditions, which are known from left to right, back into the tree."""

    def __init__(self, audience: CompiledAudience) -> None:
        self.leaves = audience.leaves
        self.at = 0

    def wire(self, rule: language.Rule) -> Wired:
        first = self.at
        parts: list[Wired] = []
        match rule:
            case language.All(parts=inner) | language.Any(parts=inner) | language.AtLeast(parts=inner):
                parts = [self.wire(each) for each in inner]
            case language.Not(part=part):
                parts = [self.wire(part)]
            case language.Score(parts=scored):
                parts = [self.wire(part) for part, _ in scored]
                for made, (_, points) in zip(parts, scored, strict=True):
                    made.points = points
            case _:
                key, node = self.leaves[first]
                self.at += 1
                return Wired(rule, node, key)
        below = iter(self.leaves[first : self.at])
        return Wired(rule, compile_rule(rule, lambda condition: next(below)[1]), None, parts)
