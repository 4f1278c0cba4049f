"""Rules: composition, audiences in audiences, attribute conditions (docs/semantics.md, sections 4 and 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules.model import language
from rules.model.points import as_written, exact_sum, shown
from rules.parse.aggregate import ComparisonName, parse_comparisons
from rules.parse.document import Entry, Node
from rules.parse.event import EVENT_KEYS, SEQUENCE_KEYS, parse_event, parse_sequence
from rules.parse.field_words import how_to_write
from rules.parse.names import parse_name
from rules.parse.predicate import ATTRIBUTE_OPERATORS, CHANGED_WITHIN, of_some_element, parse_tests
from rules.parse.problems import meant
from rules.parse.values import MAX_RULE_DEPTH, Reader, is_number, join

KINDS: Final[Mapping[str, str]] = {
    "all": "every part is true",
    "any": "at least one part is true",
    "not": "the part is false",
    "at_least": "that many of the parts or more are true",
    "score": "the points of the true parts add up to what is asked for",
    "audience": "the user is in another audience of the project (`for`: and has been for so long)",
    "event": "events happened, or didn't, as often or as much as asked for",
    "sequence": "events happened one after the other",
    "attribute": "an attribute of the user is as asked for",
}
"""What makes a rule, by its key, and when it is true."""
_OTHER_KEYS: Final = frozenset((*EVENT_KEYS, *SEQUENCE_KEYS, *ATTRIBUTE_OPERATORS, "of")) - KINDS.keys()
"""Keys of rules that stand beside the one that says the kind."""
SCORE_COMPARISONS: Final[tuple[ComparisonName, ...]] = ("gt", "gte", "lt", "lte", "between")


def parse_rule(reader: Reader, node: Node, path: str, depth: int = 1) -> language.Rule | None:
    """A rule, or None when problems were noted for any part of it."""
    entries = reader.entries(node, path, "a rule")
    if entries is None:
        return None
    if depth > MAX_RULE_DEPTH:
        reader.problem("too_deep", f"the rule is nested more than {MAX_RULE_DEPTH} deep", path, node)
        return None
    kinds = [key for key in entries if key in KINDS]
    if not kinds:
        _no_kind(reader, node, entries, path)
        return None
    if len(kinds) > 1:
        message = f"a rule is one of {' and '.join(kinds)}, not {len(kinds)} at once"
        second = join(path, kinds[1])
        reader.problem("conflict", message, second, entries[kinds[1]], "combine rules with all or any")
        return None
    faults = len(reader.problems)
    rule = _parse_kind(reader, kinds[0], node, entries, path, depth)
    return reader.placed(rule, path, node) if rule and len(reader.problems) == faults else None


def _no_kind(reader: Reader, node: Node, entries: Mapping[str, Entry], path: str) -> None:
    """One problem: at the key that was probably meant to say the kind, if there is one."""
    strange = [key for key in entries if key not in _OTHER_KEYS]
    named = [key for key in entries if (key in strange and meant(key, KINDS)) or how_to_write(key, KINDS)]
    if named or len(strange) == 1:
        key = (named or strange)[0]
        reader.keys({key: entries[key]}, path, KINDS)
        return
    hint = f"give one of {', '.join(KINDS)}"
    reader.problem("missing_key", "nothing says what kind of rule this is", path, node, hint)


def _parse_kind(
    reader: Reader, kind: str, node: Node, entries: Mapping[str, Entry], path: str, depth: int
) -> language.Rule | None:
    match kind:
        case "event":
            return parse_event(reader, node, entries, path)
        case "sequence":
            return parse_sequence(reader, entries, path)
        case "attribute":
            return _attribute(reader, node, entries, path)
        case "audience":
            return _audience(reader, entries, path)
        case "at_least":
            return _at_least(reader, node, entries, path, depth)
        case "score":
            return _score(reader, node, entries, path, depth)
    reader.keys(entries, path, (kind,))
    inside, value = join(path, kind), entries[kind].node
    if kind == "not":
        part = parse_rule(reader, value, inside, depth + 1)
        return None if part is None else language.Not(part)
    parts, _ = _parts(reader, kind, value, inside, depth)
    return language.All(parts) if kind == "all" else language.Any(parts)


def _parts(
    reader: Reader, key: str, node: Node, path: str, depth: int
) -> tuple[tuple[language.Rule, ...], int]:
    """The rules of a list, less those that problems were noted for, and how many there are with these."""
    items = reader.items(node, path, key) or ()
    parsed = [parse_rule(reader, item, join(path, at), depth + 1) for at, item in enumerate(items)]
    return tuple(part for part in parsed if part is not None), len(items)


def _at_least(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str, depth: int
) -> language.AtLeast | None:
    reader.keys(entries, path, ("at_least", "of"))
    number, inside = entries["at_least"].node, join(path, "at_least")
    least = number.value if type(number.value) is int else None
    if least is None:
        reader.wrong_type(number, inside, "at_least", "a whole number")
    elif least < 1:
        message = "at_least must be 1 or more"
        reader.problem("wrong_value", message, inside, number, "of 0 every user has enough")
    if "of" not in entries:
        if reader.missing(entries, ("of",), ("at_least", "of")):
            reader.problem("missing_key", "at_least needs 'of'", path, node, "a list of rules")
        return None
    parts, size = _parts(reader, "of", entries["of"].node, join(path, "of"), depth)
    if least is not None and size and least > size:
        message = f"at_least asks for {least} of {size}, which can never be true"
        reader.problem("wrong_value", message, inside, number)
    return None if least is None else language.AtLeast(least, parts)


def _score(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str, depth: int
) -> language.Score | None:
    allowed = ("score", *SCORE_COMPARISONS)
    reader.keys(entries, path, allowed)
    inside = join(path, "score")
    items = reader.items(entries["score"].node, inside, "score") or ()
    parsed = [_scored(reader, item, join(inside, at), depth) for at, item in enumerate(items)]
    comparisons: tuple[language.Comparison, ...] = ()
    if all(key in allowed for key in entries) or any(key in SCORE_COMPARISONS for key in entries):
        comparisons = parse_comparisons(reader, "score", entries, node, path, "number", SCORE_COMPARISONS)
    parts = tuple(part for part in parsed if part is not None)
    if parts and len(parts) == len(items):
        _check_reach(reader, entries, path, [points for _, points in parts], comparisons)
    return language.Score(parts, comparisons)


def _scored(reader: Reader, node: Node, path: str, depth: int) -> tuple[language.Rule, int | float] | None:
    entries = reader.entries(node, path, "a part of a score")
    if entries is None:
        return None
    reader.keys(entries, path, ("when", "points"))
    for key in reader.missing(entries, ("when", "points"), ("when", "points")):
        hint = "such as {when: {event: purchase}, points: 10}"
        reader.problem("missing_key", f"a part of a score needs '{key}'", path, node, hint)
    rule = None
    if "when" in entries:
        rule = parse_rule(reader, entries["when"].node, join(path, "when"), depth + 1)
    if "points" not in entries:
        return None
    points = entries["points"].node
    if not is_number(points):
        reader.wrong_type(points, join(path, "points"), "points", "a number")
        return None
    return None if rule is None else (rule, points.value)  # type: ignore[return-value]


def _check_reach(
    reader: Reader,
    entries: Mapping[str, Entry],
    path: str,
    points: list[int | float],
    comparisons: tuple[language.Comparison, ...],
) -> None:
    """Refuses a comparison that no sum of the points can meet."""
    least, most = (exact_sum(each for each in points if (each > 0) is up) for up in (False, True))
    for comparison in comparisons:
        operand, operator = comparison.operand, comparison.operator
        low, high = map(as_written, operand if isinstance(operand, tuple) else (operand, operand))
        never = {
            "gt": most <= low,
            "gte": most < low,
            "lt": least >= high,
            "lte": least > high,
            "between": most < low or least > high,
        }
        if never[operator]:
            reach = f"{shown(least)} at least and {shown(most)} at most"
            message = f"the points add up to {reach}: this can never be true"
            reader.problem("wrong_value", message, join(path, operator), entries[operator].node)


def _audience(reader: Reader, entries: Mapping[str, Entry], path: str) -> language.InAudience | None:
    reader.keys(entries, path, ("audience", "for"))
    audience = reader.audience(entries["audience"].node, join(path, "audience"))
    for_ms = None
    if "for" in entries:
        for_ms = reader.duration(entries["for"].node, join(path, "for"), "for")
    return None if audience is None else language.InAudience(audience, for_ms)


def _attribute(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str
) -> language.AttributeCondition | None:
    inside = join(path, "attribute")
    text = reader.text(entries["attribute"].node, inside, "attribute")
    name = None if text is None else parse_name(reader, text, inside, entries["attribute"].node)
    reader.keys(entries, path, ("attribute", *ATTRIBUTE_OPERATORS))
    if len(entries) == 1:
        hint = "to test for presence: exists: true"
        reader.problem("missing_key", "an attribute condition needs an operator", path, node, hint)
    operators = {key: entry for key, entry in entries.items() if key in ATTRIBUTE_OPERATORS}
    if name is not None and language.has_elements(name) and CHANGED_WITHIN.name in operators:
        message = f"'{text}' stands for many values, and changed_within is about one"
        hint = "ask when the whole list changed: give its name without []"
        at = operators.pop(CHANGED_WITHIN.name)
        reader.problem("property_name", message, join(path, CHANGED_WITHIN.name), at, hint)
    tests = of_some_element(
        name or (),
        lambda rest: parse_tests(reader, rest, operators, path, operators=ATTRIBUTE_OPERATORS),
    )
    if name is None or not tests:
        return None
    return language.AttributeCondition(tests[0] if len(tests) == 1 else language.AllTests(tuple(tests)))
