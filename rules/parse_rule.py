"""Rules: composition, event conditions and attribute conditions (spec: rules.md, sections 4 to 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules import model, parse_aggregate
from rules.document import Entry, Node
from rules.durations import parse_duration
from rules.operators import OPERATORS
from rules.parse_predicate import DATE_OPERATORS, parse_tests, parse_where
from rules.parse_reader import MAX_RULE_DEPTH, Reader, join

_KINDS: Final = ("all", "any", "not", "event", "attribute")
_KINDS_NOT_YET: Final = ("at_least", "score", "audience", "sequence")
_EVENT_KEYS: Final = ("event", "where", "within", *parse_aggregate.AGGREGATES)
_WINDOWS_NOT_YET: Final = ("between_ago", "from", "to", "period")
_EVENT_NOT_YET: Final = (*_WINDOWS_NOT_YET, *parse_aggregate.NOT_YET, "not_followed_by", "for")


def parse_rule(reader: Reader, node: Node, path: str, depth: int = 1) -> model.Rule | None:
    """A rule, or None when problems were noted for any part of it."""
    entries = reader.entries(node, path, "a rule")
    if entries is None:
        return None
    if depth > MAX_RULE_DEPTH:
        reader.problem("too_deep", f"the rule is nested more than {MAX_RULE_DEPTH} deep", path, node)
        return None
    kinds = [key for key in entries if key in _KINDS or key in _KINDS_NOT_YET]
    if not kinds:
        if entries:
            reader.keys(entries, path, _KINDS)
        hint = f"give one of {', '.join(_KINDS)}"
        reader.problem("missing_key", "nothing says what kind of rule this is", path, node, hint)
        return None
    if len(kinds) > 1:
        message = f"a rule is one of {' and '.join(kinds)}, not {len(kinds)} at once"
        second = join(path, kinds[1])
        reader.problem("conflict", message, second, entries[kinds[1]], "combine rules with all or any")
        return None
    kind, faults = kinds[0], len(reader.problems)
    if kind in _KINDS_NOT_YET:
        reader.not_yet(kind, join(path, kind), entries[kind])
        return None
    rule = _parse_kind(reader, kind, node, entries, path, depth)
    return rule if len(reader.problems) == faults else None


def _parse_kind(
    reader: Reader, kind: str, node: Node, entries: Mapping[str, Entry], path: str, depth: int
) -> model.Rule | None:
    if kind == "event":
        return _event(reader, entries, path)
    if kind == "attribute":
        return _attribute(reader, node, entries, path)
    reader.keys(entries, path, (kind,))
    inside, value = join(path, kind), entries[kind].node
    if kind == "not":
        part = parse_rule(reader, value, inside, depth + 1)
        return None if part is None else model.Not(part)
    items = reader.items(value, inside, kind) or ()
    parsed = [parse_rule(reader, item, join(inside, at), depth + 1) for at, item in enumerate(items)]
    parts = tuple(part for part in parsed if part is not None)
    return model.All(parts) if kind == "all" else model.Any(parts)


def _event(reader: Reader, entries: Mapping[str, Entry], path: str) -> model.EventCondition | None:
    reader.keys(entries, path, _EVENT_KEYS, _EVENT_NOT_YET)
    names = _names(reader, entries["event"].node, join(path, "event"))
    where = None
    if "where" in entries:
        where = parse_where(reader, entries["where"].node, join(path, "where"))
    window = None
    if "within" in entries:
        window = _within(reader, entries["within"].node, join(path, "within"))
    kinds = [kind for kind in entries if kind in parse_aggregate.AGGREGATES]
    if len(kinds) > 1:
        message = f"an event condition has one aggregate, not {' and '.join(kinds)}"
        second, at = join(path, kinds[1]), entries[kinds[1]]
        reader.problem("conflict", message, second, at, "write one condition for each, in all or any")
    aggregate: model.Aggregate | None = parse_aggregate.AT_LEAST_ONE
    for kind in parse_aggregate.AGGREGATES:
        if kind in entries:
            inside = join(path, kind)
            aggregate = parse_aggregate.parse_aggregate(reader, kind, entries[kind], inside, window)
    if names is None or aggregate is None:
        return None
    return model.EventCondition(names, where, aggregate, window)


def _names(reader: Reader, node: Node, path: str) -> tuple[str, ...] | None:
    """Sorted and unique names from a name or a list of them."""
    if not isinstance(node.value, tuple):
        name = reader.text(node, path, "event")
        return None if name is None else (name,)
    items = reader.items(node, path, "event") or ()
    names = {reader.text(item, join(path, at), "an event name") for at, item in enumerate(items)}
    if model.ANY_EVENT in names and len(names) > 1:
        reader.problem("conflict", "'*' means any event and stands alone", path, node)
    return tuple(sorted(name for name in names if name is not None)) or None


def _within(reader: Reader, node: Node, path: str) -> model.Window:
    if isinstance(node.value, Mapping) and "audience" in node.value:
        reader.not_yet("within an audience", join(path, "audience"), node.value["audience"])
        return None
    if not isinstance(node.value, str):
        reader.wrong_type(node, path, "within", "a duration", "such as 30m or 7d")
        return None
    try:
        return model.Within(parse_duration(node.value))
    except ValueError as error:
        reader.problem("duration", f"'{node.value}' isn't a duration: {error}", path, node)
        return None


def _attribute(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str
) -> model.AttributeCondition | None:
    inside = join(path, "attribute")
    text = reader.text(entries["attribute"].node, inside, "attribute")
    name = None if text is None else reader.dotted(text, inside, entries["attribute"].node)
    allowed = ("attribute", *OPERATORS)
    reader.keys(entries, path, allowed, ("changed_within", *DATE_OPERATORS))
    if len(entries) == 1:
        hint = "to test for presence: exists: true"
        reader.problem("missing_key", "an attribute condition needs an operator", path, node, hint)
    operators = {key: entry for key, entry in entries.items() if key in OPERATORS}
    tests = parse_tests(reader, name or (), operators, path)
    if name is None or not tests:
        return None
    return model.AttributeCondition(tests[0] if len(tests) == 1 else model.AllTests(tuple(tests)))
