"""Audiences as JSON-able data that parses back to equal audiences (the reverse of
``rules.parse.definitions``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.model import language
from rules.parse.aggregate import AGGREGATES, AT_LEAST_ONE
from rules.parse.backfill import HISTORIES
from rules.parse.window import PERIODS
from rules.time.durations import format_duration
from rules.time.instants import format_instant
from rules.write.predicates import Document, of_one_name, operators_document, where_document

_PERIOD_NAMES: Final = {period: name for name, period in PERIODS.items()}


def to_document(audience: language.Audience) -> Document:
    """The definition as ``parse_definitions`` reads it, with every key of the head written out.

    But for ``backfill`` where it says nothing else than what holds without it: programs from before it don't
    know the key.
    """
    document: Document = {
        "id": audience.id,
        "name": audience.name,
        "description": audience.description,
        "project": audience.project,
        "type": audience.type,
        "timezone": audience.timezone,
        "labels": list(audience.labels),
    }
    if audience.schedule is not None:
        document["schedule"] = audience.schedule.cron or audience.schedule.kind
    if audience.backfill != language.Backfill():
        document["backfill"] = _backfill(audience.backfill)
    return {**document, "rule": rule_document(audience.rule)}


def changed_keys(before: language.Audience, after: language.Audience) -> list[str]:
    """The keys under which two definitions differ, in the order in which they are written."""
    old, new = to_document(before), to_document(after)
    return [key for key in {**old, **new} if repr(old.get(key)) != repr(new.get(key))]


def _backfill(backfill: language.Backfill) -> Document:
    return {"existing": backfill.existing, "history": history_text(backfill.history_ms)}


def history_text(history_ms: int | None) -> str:
    """An amount of history as ``backfill`` writes it: ``all``, ``none`` or a duration."""
    word = next((word for word, ms in HISTORIES.items() if ms == history_ms), None)
    return word or format_duration(history_ms or 0)


def rule_document(rule: language.Rule) -> Document:
    """A rule as the language writes it."""
    match rule:
        case language.All(parts=parts):
            return {"all": [rule_document(part) for part in parts]}
        case language.Any(parts=parts):
            return {"any": [rule_document(part) for part in parts]}
        case language.Not(part=part):
            return {"not": rule_document(part)}
        case language.AtLeast(n=n, parts=parts):
            return {"at_least": n, "of": [rule_document(part) for part in parts]}
        case language.Score(parts=scored, comparisons=comparisons):
            score = [{"when": rule_document(part), "points": points} for part, points in scored]
            return {"score": score, **_comparisons(comparisons)}
        case language.InAudience(audience=audience, for_ms=for_ms):
            return {"audience": audience, **_duration("for", for_ms)}
        case language.AttributeCondition(test=test):
            name, operators = of_one_name(test)
            return {"attribute": name, **operators}
        case language.EventCondition(names=names, where=where, aggregate=aggregate, window=window):
            pattern = _pattern(language.EventPattern(names, where))
            return {**pattern, **_aggregate(aggregate), **_window(window)}
        case language.Sequence(steps=steps, without=without, total_ms=total_ms, window=window):
            document: Document = {"sequence": [_step(step) for step in steps]}
            if without is not None:
                document["without"] = _pattern(without)
            return {**document, **_duration("total", total_ms), **_window(window)}
        case language.NotFollowed(event=event, follower=follower, for_ms=for_ms, window=window, still=still):
            document = {**_pattern(event), "not_followed_by": _pattern(follower)}
            undone: Document = {"still": True} if still else {}
            return {**document, **_duration("for", for_ms), **undone, **_window(window)}


def _pattern(pattern: language.EventPattern) -> Document:
    names = pattern.names
    document: Document = {"event": names[0] if len(names) == 1 else list(names)}
    if pattern.where is not None:
        document["where"] = where_document(pattern.where)
    return document


def _step(step: language.SequenceStep) -> Document:
    name: Document = {} if step.name is None else {"as": step.name}
    return {**_pattern(step.event), **_duration("within", step.within_ms), **name}


def _aggregate(aggregate: language.Aggregate) -> Document:
    if aggregate == AT_LEAST_ONE:
        return {}
    bounds: Document = {} if aggregate.property is None else {"property": ".".join(aggregate.property)}
    if aggregate.test is not None:
        bounds |= operators_document(aggregate.test)
    durations = AGGREGATES[aggregate.kind].bound == "duration"
    return {aggregate.kind: {**bounds, **_comparisons(aggregate.comparisons, durations)}}


def _comparisons(comparisons: Iterable[language.Comparison], durations: bool = False) -> Document:
    document: Document = {}
    for comparison in comparisons:
        operand = comparison.operand
        if not durations:
            document[comparison.operator] = list(operand) if isinstance(operand, tuple) else operand
        elif isinstance(operand, tuple):
            document[comparison.operator] = [format_duration(int(end)) for end in operand]
        else:
            document[comparison.operator] = format_duration(int(operand))
    return document


def _window(window: language.Window) -> Document:
    match window:
        case None:
            return {}
        case language.Within(length_ms=length_ms):
            return {"within": format_duration(length_ms)}
        case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
            return {"between_ago": [format_duration(far_ms), format_duration(near_ms)]}
        case language.FromTo(from_ms=from_ms, to_ms=to_ms):
            ends = (("from", from_ms), ("to", to_ms))
            return {key: format_instant(end) for key, end in ends if end is not None}
        case language.Period(unit=unit, length=length, ago=ago):
            if window in _PERIOD_NAMES:
                return {"period": _PERIOD_NAMES[window]}
            if ago:
                raise ValueError(f"the language has no name for {window!r}")
            return {"period": {"last": length, "unit": unit}}
        case language.SinceEntry(audience=audience):
            return {"within": {"audience": audience}}


def _duration(key: str, length_ms: int | None) -> Document:
    return {} if length_ms is None else {key: format_duration(length_ms)}
