"""Sentences about rules: what a node asks for, and what was found of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rules.explain.facts import (
    AttributeFacts,
    BatchFacts,
    EventFacts,
    Facts,
    MembershipFacts,
    NotFollowedFacts,
    SequenceFacts,
)
from rules.explain.phrases import comparisons, events, numbered, predicate, quoted, span, value_text, window
from rules.model import language
from rules.model.points import exact_sum, shown
from rules.predicates.paths import MISSING
from rules.time.instants import format_instant

_VALUES_OF: Final = {
    "sum": "The sum of {} over",
    "avg": "The average {} of",
    "min": "The least {} of",
    "max": "The greatest {} of",
    "distinct": "The number of different {} of",
}


_SCHEDULES: Final = {
    "once": "once, when the audience was published",
    "daily": "each midnight in {}",
    "weekly": "each Monday's midnight in {}",
    "monthly": "the midnight of each first of the month in {}",
}


def requirement(rule: language.Rule) -> str:
    """What a node asks for. Of a composite only its own part: its parts have sentences of their own."""
    match rule:
        case language.All(parts=parts):
            return "The part must be true." if len(parts) == 1 else f"All of these {len(parts)} must hold."
        case language.Any(parts=parts):
            return (
                "The part must be true."
                if len(parts) == 1
                else f"At least 1 of these {len(parts)} must hold."
            )
        case language.Not():
            return "The part must be false."
        case language.AtLeast(n=n, parts=parts):
            return f"At least {n} of these {len(parts)} must hold."
        case language.Score(comparisons=wanted):
            return f"The points of those that hold must add up to {comparisons(wanted)}."
        case language.InAudience(audience=audience, for_ms=None):
            return f"The user is in audience {quoted(audience)}."
        case language.InAudience(audience=audience, for_ms=int(for_ms)):
            return f"The user has been in audience {quoted(audience)} without a break for {span(for_ms)}."
        case language.AttributeCondition(test=test):
            if any(isinstance(each, language.Elements) for each in language.parts_of(test)):
                return f"Of the user's attributes: {predicate(test)}."
            return f"The user's {predicate(test)}."
        case language.EventCondition():
            return _aggregate(rule)
        case language.Sequence():
            return _sequence(rule)
        case language.NotFollowed(event=event, follower=follower, for_ms=for_ms, still=still):
            first = f"At least one {events(event.names, event.where)}{window(rule.window)}"
            other = events(follower.names, follower.where)
            later = ", nor later" if still else ""
            return f"{first} was followed by no {other} within {span(for_ms)}{later}."
    raise TypeError(f"not a rule: {rule!r}")


def batch_requirement(schedule: language.Schedule, timezone: str) -> str:
    """What a batch audience asks for."""
    when = _SCHEDULES.get(schedule.kind) or f"at the times of cron {quoted(schedule.cron)} in {timezone}"
    return f"This held when it was last computed: {when.format(timezone)}."


def batch_finding(facts: BatchFacts) -> str:
    """When a batch audience was decided, and what its tree shows."""
    if facts.decided_ms is None:
        decided = "It wasn't computed yet"
    else:
        decided = f"It was computed at {format_instant(facts.decided_ms)}"
    coming = "not again" if facts.next_ms is None else f"next at {format_instant(facts.next_ms)}"
    return f"{decided}, {coming}; what follows is as of now."


def _aggregate(rule: language.EventCondition) -> str:
    wanted, when = rule.aggregate, window(rule.window)
    those = events(rule.names, rule.where, plural=True)
    one = events(rule.names, rule.where)
    bounds = comparisons(wanted.comparisons, durations=wanted.kind.startswith("since"))
    match wanted.kind:
        case "count":
            return _count(rule, one, those, bounds) + f"{when}."
        case "days":
            return f"The number of different days with {those}{when} is {bounds}."
        case "first" | "last":
            assert wanted.test is not None
            return f"Of the {wanted.kind} {one}{when}, {predicate(wanted.test)}."
        case "since_first" | "since_last":
            return f"The {wanted.kind.removeprefix('since_')} {one}{when} was {bounds} ago."
        case _:
            assert wanted.property is not None
            name = ".".join(wanted.property)
            what = _VALUES_OF[wanted.kind].format(name if name.isidentifier() else quoted(name))
            return f"{what} {those}{when} is {bounds}."


def _count(rule: language.EventCondition, one: str, those: str, bounds: str) -> str:
    match rule.aggregate.comparisons:
        case (language.Comparison("gte", 1) | language.Comparison("gt", 0),):
            return f"There was at least one {one}"
        case (language.Comparison("eq" | "lte", 0) | language.Comparison("lt", 1),):
            return f"There was no {one}"
        case _:
            return f"The number of {those}{'' if rule.where is None else ','} is {bounds}"


def _sequence(rule: language.Sequence) -> str:
    steps = []
    for number, step in enumerate(rule.steps, 1):
        within = "" if step.within_ms is None else f", at most {span(step.within_ms)} later"
        named = "" if step.name is None else f" (called {quoted(step.name)})"
        steps.append(f"({number}) {events(step.event.names, step.event.where)}{named}{within}")
    text = f"These came in order: {'; '.join(steps)}"
    if rule.total_ms is not None:
        text += f"; from the first to the last in at most {span(rule.total_ms)}"
    if rule.without is not None:
        text += f"; between them no {events(rule.without.names, rule.without.where)}"
    when = window(rule.window)
    return f"{text}; the last one{when}." if when else f"{text}."


def finding(
    rule: language.Rule,
    facts: Facts | None,
    parts: Sequence[tuple[bool, int | float]],
    counted_from_ms: int | None = None,
) -> str:
    """What was found of a node. ``parts`` are (value, points) of a composite's parts, in order.

    Where nothing was found, ``counted_from_ms`` is told: events from before it may be unknown. None: no event
    that would count is.
    """
    match rule, facts:
        case language.InAudience(), MembershipFacts():
            return _membership(facts)
        case language.AttributeCondition(), AttributeFacts():
            return _attribute(facts)
        case language.EventCondition(), EventFacts():
            return _found(rule, facts, _from(counted_from_ms))
        case language.Sequence(), SequenceFacts():
            return _found_sequence(facts, _from(counted_from_ms))
        case language.NotFollowed(), NotFollowedFacts():
            return _found_unfollowed(facts, _from(counted_from_ms))
        case language.Not(), _:
            return "It is true." if parts[0][0] else "It is false."
        case language.Score(), _:
            points = shown(exact_sum(each for value, each in parts if value))
            return f"They add up to {value_text(points)}."
        case _:
            holding = sum([value for value, _ in parts])
            if len(parts) == 1:
                return "It is true." if holding else "It is false."
            return f"{holding or 'None'} of them {'does' if holding == 1 else 'do'}."


def _membership(facts: MembershipFacts) -> str:
    if facts.since_ms is None:
        return "The user never was in it."
    return f"The user {'entered' if facts.inside else 'left'} at {format_instant(facts.since_ms)}."


def _attribute(facts: AttributeFacts) -> str:
    is_set = facts.value is not MISSING
    if facts.changed_ms is None:
        return f"It is {value_text(facts.value)}." if is_set else "It never was set."
    changed = format_instant(facts.changed_ms)
    return (
        f"It is {value_text(facts.value)}; the attribute changed last at {changed}."
        if is_set
        else f"It is not set; the attribute changed last at {changed}."
    )


def _from(counted_from_ms: int | None) -> str:
    if counted_from_ms is None:
        return ""
    return f" since {format_instant(counted_from_ms)}, when this version was published"


def _found(rule: language.EventCondition, facts: EventFacts, since: str) -> str:
    if isinstance(rule.window, language.SinceEntry):
        entered = facts.entered
        if entered is None or not entered.inside or entered.since_ms is None:
            return f"The user is not in audience {quoted(rule.window.audience)}."
        return f"{_value(rule, facts, '')[:-1]}, from the entry at {format_instant(entered.since_ms)} on."
    return _value(rule, facts, since)


def _value(rule: language.EventCondition, facts: EventFacts, since: str) -> str:
    kind, number = rule.aggregate.kind, facts.number
    latest = facts.events_ms[-1] if facts.events_ms else None
    if kind in ("first", "last", "since_first", "since_last"):
        return f"None was counted{since}." if latest is None else f"It came at {format_instant(latest)}."
    if number is None:
        return f"No event with a number there was counted{since}."
    at = "" if latest is None else f", the latest at {format_instant(latest)}"
    if kind in ("count", "distinct", "days"):
        if not number:
            return f"None was counted{since}."
        values = f": {value_text(facts.values)}" if facts.values else ""
        found = f"At least {number} counted (no more are needed)" if facts.or_more else f"{number} counted"
        return f"{found}{values}{at}."
    if kind == "sum" and not number:
        return f"It is 0{since or at}."
    return f"It is {value_text(number)}{at.replace('the latest', 'the latest with a number')}."


def _found_sequence(facts: SequenceFacts, since: str) -> str:
    if facts.ends_ms:
        return f"The last step was taken at {format_instant(facts.ends_ms[-1])}."
    waiting: dict[int, int] = {}
    for event_ms, numbers in facts.steps:
        for number in numbers:
            waiting[number] = event_ms
    waiting.pop(0, None)
    if not waiting:
        return f"No event of it was counted{since}."
    # Only events that a sequence may yet need are kept, so of each step the latest one tells how far it is.
    seen = [f"{number} at {format_instant(event_ms)}" for number, event_ms in sorted(waiting.items())]
    return f"No whole sequence yet; the latest events that may be a step of one: {', '.join(seen)}."


def _found_unfollowed(facts: NotFollowedFacts, since: str) -> str:
    told = []
    if facts.events_ms:
        count, latest = len(facts.events_ms), format_instant(facts.events_ms[-1])
        told.append(f"{numbered(count, 'such event')} found, the latest at {latest}")
    if facts.open_ms:
        told.append(f"nothing followed that of {format_instant(facts.open_ms[0])} so far")
    text = "; ".join(told) or f"none was counted{since}"
    return f"{text[0].upper()}{text[1:]}."
