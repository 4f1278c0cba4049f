"""Why a user is in an audience, or not: the rule as a tree of sentences with values, facts and next timers.

The tree is the compiled rule's own: the values are those that the decider sees, not computed another way.
Timers are what happens if no more records come, with the audiences that the rule asks about changing on the
way, as ``rules.decide.predict.predict_exit`` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import PREDICTION_STEPS
from rules.explain.facts import BatchFacts, Facts, attribute_facts, membership_facts, state_facts
from rules.explain.past import counts_from_ms, short_history
from rules.explain.sentences import batch_finding, batch_requirement, finding, requirement
from rules.explain.wired import Wired, wire
from rules.model import language
from rules.model.keys import audience_key
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
    counts_from_ms: int | None = None
    """Of a condition on events: only events from then on count, although it looks back further. None: all
    that it looks at do, as far as is known."""


def explain(
    rules: ProjectRules,
    audience: CompiledAudience,
    row: Row,
    at_ms: int,
    short: Mapping[int, int] | None = None,
) -> Explained:
    """The tree of ``audience``'s rule for a row that is decided up to ``at_ms``. The row stays as it is.

    Of a batch audience it stands under a node of kind ``batch``: that one's value is what the latest compute
    instant left, the others' are as of ``at_ms``. ``short``: the keys of the conditions that have less
    history than they look back, and from when on (ms) they have it; None: nothing is known of histories, so
    that each counts from the audience's publication.
    """
    root = wire(audience)
    everything = root.flat()
    for each in everything:
        each.value = each.node.truth(row, at_ms)
    _predict(rules, audience, everything, row, at_ms)
    if audience.schedule is not None:
        return _explained_batch(rules, audience, root, row, at_ms, short)
    return _explained(rules, audience, root, row, at_ms, short)


def history_from_ms(explained: Explained) -> int | None:
    """The latest instant from which a condition of the tree counts; None: each has all that it looks at."""
    below = [history_from_ms(each) for each in explained.parts]
    known = [each for each in (explained.counts_from_ms, *below) if each is not None]
    return max(known, default=None)


def _predict(
    rules: ProjectRules, audience: CompiledAudience, waiting: list[Wired], row: Row, at_ms: int
) -> None:
    """Let time pass on a copy of the row until every node has changed, or nothing more does."""
    ahead = row.with_own_memberships()
    others = [rules.audiences[index] for index in audience.needs]
    for _ in range(PREDICTION_STEPS):
        at_ms = min(
            min((each.node.change(ahead, at_ms) for each in waiting), default=FAR_MS),
            min((each.decided.change(ahead, at_ms) for each in others), default=FAR_MS),
        )
        if at_ms >= FAR_MS:
            return
        for other in others:
            if other.decided.truth(ahead, at_ms) != ahead.is_in(other.key):
                ahead.turn(other.key, other.version, at_ms)
        for each in waiting:
            if each.node.truth(ahead, at_ms) != each.value:
                each.timer_ms = at_ms
        waiting = [each for each in waiting if each.timer_ms is None]
        if not waiting:
            return


def _explained(
    rules: ProjectRules,
    audience: CompiledAudience,
    wired: Wired,
    row: Row,
    at_ms: int,
    short: Mapping[int, int] | None,
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
    published_ms = _counted_from_ms(audience, rule, at_ms) if short is None else None
    found = finding(rule, facts, values, published_ms)
    from_ms = _short_from_ms(audience, wired, at_ms, short or {})
    return Explained(
        kind=KINDS[type(rule)],
        rule=rule,
        text=requirement(rule),
        found=found if from_ms is None else f"{found} {short_history(from_ms)}",
        value=wired.value,
        timer_ms=wired.timer_ms,
        facts=facts,
        parts=tuple([_explained(rules, audience, each, row, at_ms, short) for each in wired.parts]),
        points=wired.points,
        counts_from_ms=from_ms,
    )


def _short_from_ms(
    audience: CompiledAudience, wired: Wired, at_ms: int, short: Mapping[int, int]
) -> int | None:
    """From when on a condition with a short history counts; in a batch audience at its latest computation."""
    complete_ms = None if wired.key is None else short.get(wired.key)
    if complete_ms is None:
        return None
    seen_ms = at_ms if audience.schedule is None else audience.schedule.latest(at_ms)
    return counts_from_ms(wired.rule, complete_ms, seen_ms or at_ms, audience.source.timezone)


def _counted_from_ms(audience: CompiledAudience, rule: language.Rule, at_ms: int) -> int | None:
    """From when on a condition surely has every event; None: its window begins later, or it isn't known."""
    if isinstance(rule, language.EventCondition | language.Sequence | language.NotFollowed):
        window, published_ms = rule.window, audience.published_ms
        if isinstance(window, language.Within) and at_ms - window.length_ms >= published_ms:
            return None
        return published_ms or None
    return None


def _explained_batch(
    rules: ProjectRules,
    audience: CompiledAudience,
    wired: Wired,
    row: Row,
    at_ms: int,
    short: Mapping[int, int] | None,
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
        parts=(_explained(rules, audience, wired.parts[0], row, at_ms, short),),
    )
