"""Audiences as JSON-able data that parses back to equal audiences (the reverse of ``rules.parse``)."""

from __future__ import annotations

from rules import model
from rules.durations import format_duration
from rules.parse_aggregate import AT_LEAST_ONE

Document = dict[str, object]


def to_document(audience: model.Audience) -> Document:
    """The definition as ``parse_definitions`` reads it, with every key of the head written out."""
    return {
        "id": audience.id,
        "name": audience.name,
        "description": audience.description,
        "project": audience.project,
        "type": audience.type,
        "timezone": audience.timezone,
        "labels": list(audience.labels),
        "rule": rule_document(audience.rule),
    }


def rule_document(rule: model.Rule) -> Document:
    """A rule as the language writes it."""
    match rule:
        case model.All(parts=parts):
            return {"all": [rule_document(part) for part in parts]}
        case model.Any(parts=parts):
            return {"any": [rule_document(part) for part in parts]}
        case model.Not(part=part):
            return {"not": rule_document(part)}
        case model.AttributeCondition(test=test):
            return _attribute(test)
        case model.EventCondition():
            return _event(rule)


def _event(condition: model.EventCondition) -> Document:
    names = condition.names
    document: Document = {"event": names[0] if len(names) == 1 else list(names)}
    if condition.where is not None:
        document["where"] = _where(condition.where)
    aggregate = condition.aggregate
    if aggregate != AT_LEAST_ONE:
        bounds: Document = {} if aggregate.property is None else {"property": ".".join(aggregate.property)}
        for comparison in aggregate.comparisons:
            bounds[comparison.operator] = _literal(comparison.operand)
        document[aggregate.kind] = bounds
    if condition.window is not None:
        document["within"] = format_duration(condition.window.length_ms)
    return document


def _attribute(test: model.Predicate) -> Document:
    tests = test.parts if isinstance(test, model.AllTests) else (test,)
    document: Document = {}
    for each in tests:
        if not isinstance(each, model.Test):
            raise TypeError(f"an attribute condition holds tests only, not {each!r}")
        document["attribute"] = ".".join(each.path)
        document[each.operator] = _literal(each.operand)
    return document


def _where(predicate: model.Predicate) -> Document:
    match predicate:
        case model.Test(path=path, operator=operator, operand=operand):
            return {".".join(path): {operator: _literal(operand)}}
        case model.AllTests(parts=parts):
            return _one_map(parts) or {"all": [_where(part) for part in parts]}
        case model.AnyTest(parts=parts):
            return {"any": [_where(part) for part in parts]}
        case model.NotTest(part=part):
            return {"not": _where(part)}


def _one_map(parts: tuple[model.Predicate, ...]) -> Document | None:
    """``{price: {gte: 50, lt: 100}, …}`` where that says the same tests in the same order."""
    tests: dict[str, Document] = {}
    for part in parts:
        if not isinstance(part, model.Test):
            return None
        tests.setdefault(".".join(part.path), {})[part.operator] = _literal(part.operand)
    back = [(name, operator) for name, operators in tests.items() for operator in operators]
    same = [(".".join(part.path), part.operator) for part in parts if isinstance(part, model.Test)]
    return dict(tests) if len(parts) > 1 and back == same else None


def _literal(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
