"""Audiences as JSON-able data that parses back to equal audiences (the reverse of
``rules.parse.definitions``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rules.model import language
from rules.parse.aggregate import AGGREGATES, AT_LEAST_ONE
from rules.parse.predicate import CHANGED_WITHIN
from rules.parse.window import PERIODS
from rules.predicates.operators import OPERATORS
from rules.time.durations import format_duration
from rules.time.instants import format_instant

Document = dict[str, object]

_DURATIONS: Final = frozenset(
    each.name for each in (*OPERATORS.values(), CHANGED_WITHIN) if each.operand == "duration"
)
_PERIOD_NAMES: Final = {period: name for name, period in PERIODS.items()}


def to_document(audience: language.Audience) -> Document:
    """The definition as ``parse_definitions`` reads it, with every key of the head written out."""
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
    return {**document, "rule": rule_document(audience.rule)}


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
            return {"attribute": ".".join(_one_path(test)), **_operators(test)}
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
        document["where"] = _where(pattern.where)
    return document


def _step(step: language.SequenceStep) -> Document:
    name: Document = {} if step.name is None else {"as": step.name}
    return {**_pattern(step.event), **_duration("within", step.within_ms), **name}


def _aggregate(aggregate: language.Aggregate) -> Document:
    if aggregate == AT_LEAST_ONE:
        return {}
    bounds: Document = {} if aggregate.property is None else {"property": ".".join(aggregate.property)}
    if aggregate.test is not None:
        bounds |= _operators(aggregate.test)
    durations = AGGREGATES[aggregate.kind].bound == "duration"
    return {aggregate.kind: {**bounds, **_comparisons(aggregate.comparisons, durations)}}


def _comparisons(comparisons: Iterable[language.Comparison], durations: bool = False) -> Document:
    document: Document = {}
    for comparison in comparisons:
        operand = comparison.operand
        if not durations:
            document[comparison.operator] = _literal(operand)
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


def _tests(predicate: language.Predicate) -> list[language.Test]:
    tests = predicate.parts if isinstance(predicate, language.AllTests) else (predicate,)
    return [_plain(each) for each in tests]


def _plain(predicate: language.Predicate) -> language.Test:
    if not isinstance(predicate, language.Test):
        raise TypeError(f"only plain tests have a place here, not {predicate!r}")
    return predicate


def _one_path(predicate: language.Predicate) -> language.Path:
    (path,) = {each.path for each in _tests(predicate)}
    return path


def _operators(predicate: language.Predicate) -> Document:
    """``{gte: 5, lt: 9}`` of tests that are all of one property."""
    return {each.operator: _operand(each) for each in _tests(predicate)}


def _where(predicate: language.Predicate) -> Document:
    match predicate:
        case language.Test(path=path, operator=operator):
            return {".".join(path): {operator: _operand(predicate)}}
        case language.AllTests(parts=parts):
            return _one_map(parts) or {"all": [_where(part) for part in parts]}
        case language.AnyTest(parts=parts):
            return {"any": [_where(part) for part in parts]}
        case language.NotTest(part=part):
            return {"not": _where(part)}


def _one_map(parts: tuple[language.Predicate, ...]) -> Document | None:
    """``{price: {gte: 50, lt: 100}, …}`` where that says the same tests in the same order."""
    tests: dict[str, Document] = {}
    for part in parts:
        if not isinstance(part, language.Test):
            return None
        tests.setdefault(".".join(part.path), {})[part.operator] = _operand(part)
    back = [(name, operator) for name, operators in tests.items() for operator in operators]
    same = [(".".join(part.path), part.operator) for part in parts if isinstance(part, language.Test)]
    return dict(tests) if len(parts) > 1 and back == same else None


def _operand(test: language.Test) -> object:
    operand = test.operand
    if isinstance(operand, language.Ref):
        return {"ref": ".".join((operand.step, *operand.path))}
    if test.operator in _DURATIONS and isinstance(operand, int):
        return format_duration(operand)
    if test.operator == "between_next" and isinstance(operand, tuple):
        return [format_duration(int(end)) for end in operand]
    if test.operator == "anniversary" and isinstance(operand, int):
        return {"within": format_duration(operand)}
    return _literal(operand)


def _literal(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
