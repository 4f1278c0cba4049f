"""Why a user is in an audience, or not: the rule as a tree of sentences with values, facts and next timers.

The tree is the compiled rule's own: the values are those that the decider sees, not computed another way.
Timers are what happens if no more records come, with the audiences that the rule asks about changing on the
way, as ``rules.decide.predict.predict_exit`` has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.conditions.truth import CompiledRule, compile_rule
from rules.decide.predict import PREDICTION_STEPS
from rules.explain.facts import BatchFacts, Facts, attribute_facts, membership_facts, state_facts
from rules.explain.sentences import batch_finding, batch_requirement, finding, requirement
from rules.model import language
from rules.model.canonical import audience_key
from rules.state.row import Row
from rules.time.instants import FAR_MS

Kind: TypeAlias = Literal[
    "all",
    "any",
    "not",
    "at_least",
    "score",
    "audience",
    "attribute",
    "event",
    "sequence",
    "not_followed_by",
    "batch",
]
KINDS: Final[dict[type, Kind]] = {
    language.All: "all",
    language.Any: "any",
    language.Not: "not",
    language.AtLeast: "at_least",
    language.Score: "score",
    language.InAudience: "audience",
    language.AttributeCondition: "attribute",
    language.EventCondition: "event",
    language.Sequence: "sequence",
    language.NotFollowed: "not_followed_by",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """One node of a rule, for one user at one instant."""

    kind: Kind
    rule: language.Rule
    text: str
    """What the node asks for, as a sentence."""
    found: str
    """What was found, as a sentence."""
    value: bool
    timer_ms: int | None
    """When the value changes next if nothing more happens; None: never, or not in ``PREDICTION_STEPS``."""
    facts: Facts | None = None
    """Of conditions and of ``batch``; composites rest on their parts."""
    parts: tuple[Explained, ...] = ()
    points: int | float | None = None
    """Of a part of a score."""


@dataclass(slots=True)
class _Wired:
    """A node of the rule beside what computes it."""

    rule: language.Rule
    node: CompiledRule
    key: int | None
    """Of the condition, when it keeps a state."""
    parts: list[_Wired] = field(default_factory=list)
    points: int | float | None = None
    value: bool = False
    timer_ms: int | None = None


def explain(rules: ProjectRules, audience: CompiledAudience, row: Row, at_ms: int) -> Explained:
    """The tree of ``audience``'s rule for a row that is decided up to ``at_ms``. The row stays as it is.

    Of a batch audience it stands under a node of kind ``batch``: that one's value is what the latest compute
    instant left, the others' are as of ``at_ms``.
    """
    root = _Wiring(audience).wire(audience.source.rule)
    if audience.schedule is not None:
        root = _Wired(audience.source.rule, CompiledRule(audience.truth, audience.change), None, [root])
    everything = _flat(root)
    for each in everything:
        each.value = each.node.truth(row, at_ms)
    _predict(rules, audience, everything, row, at_ms)
    if audience.schedule is not None:
        return _explained_batch(rules, audience, root, row, at_ms)
    return _explained(rules, audience, root, row, at_ms)


class _Wiring:
    """Puts the compiled conditions, which are known from left to right, back into the tree."""

    def __init__(self, audience: CompiledAudience) -> None:
        self.leaves = audience.leaves
        self.at = 0

    def wire(self, rule: language.Rule) -> _Wired:
        first = self.at
        parts: list[_Wired] = []
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
                return _Wired(rule, node, key)
        below = iter(self.leaves[first : self.at])
        return _Wired(rule, compile_rule(rule, lambda condition: next(below)[1]), None, parts)


def _flat(wired: _Wired) -> list[_Wired]:
    return [wired, *(each for part in wired.parts for each in _flat(part))]


def _predict(
    rules: ProjectRules, audience: CompiledAudience, waiting: list[_Wired], row: Row, at_ms: int
) -> None:
    """Let time pass on a copy of the row until every node has changed, or nothing more does."""
    ahead = row.with_own_memberships()
    others = [rules.audiences[index] for index in audience.needs]
    for _ in range(PREDICTION_STEPS):
        at_ms = min(
            min((each.node.change(ahead, at_ms) for each in waiting), default=FAR_MS),
            min((each.change(ahead, at_ms) for each in others), default=FAR_MS),
        )
        if at_ms >= FAR_MS:
            return
        for other in others:
            if other.truth(ahead, at_ms) != ahead.is_in(other.key):
                ahead.turn(other.key, other.version, at_ms)
        for each in waiting:
            if each.node.truth(ahead, at_ms) != each.value:
                each.timer_ms = at_ms
        waiting = [each for each in waiting if each.timer_ms is None]
        if not waiting:
            return


def _explained(
    rules: ProjectRules, audience: CompiledAudience, wired: _Wired, row: Row, at_ms: int
) -> Explained:
    rule, key = wired.rule, wired.key
    facts: Facts | None = None
    if key is not None:
        facts = state_facts(rules.conditions[key], row.conditions.get(key), row, at_ms)
    elif isinstance(rule, language.InAudience):
        facts = membership_facts(audience_key(audience.project, rule.audience), row)
    elif isinstance(rule, language.AttributeCondition):
        facts = attribute_facts(rule, row)
    values = [(each.value, each.points or 0) for each in wired.parts]
    return Explained(
        kind=KINDS[type(rule)],
        rule=rule,
        text=requirement(rule),
        found=finding(rule, facts, values, _counted_from_ms(audience, rule, at_ms)),
        value=wired.value,
        timer_ms=wired.timer_ms,
        facts=facts,
        parts=tuple([_explained(rules, audience, each, row, at_ms) for each in wired.parts]),
        points=wired.points,
    )


def _counted_from_ms(audience: CompiledAudience, rule: language.Rule, at_ms: int) -> int | None:
    """From when on a condition surely has every event; None: its window begins later, or it isn't known."""
    if isinstance(rule, language.EventCondition | language.Sequence | language.NotFollowed):
        window, published_ms = rule.window, audience.published_ms
        if isinstance(window, language.Within) and at_ms - window.length_ms >= published_ms:
            return None
        return published_ms or None
    return None


def _explained_batch(
    rules: ProjectRules, audience: CompiledAudience, wired: _Wired, row: Row, at_ms: int
) -> Explained:
    schedule, source = audience.schedule, audience.source
    assert schedule is not None
    assert source.schedule is not None
    facts = BatchFacts(schedule.latest(at_ms), schedule.next(at_ms))
    return Explained(
        kind="batch",
        rule=wired.rule,
        text=batch_requirement(source.schedule, source.timezone),
        found=batch_finding(facts),
        value=wired.value,
        timer_ms=wired.timer_ms,
        facts=facts,
        parts=(_explained(rules, audience, wired.parts[0], row, at_ms),),
    )
