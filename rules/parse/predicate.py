"""``where`` and the operators of attribute conditions, parsed and checked (docs/semantics.md, section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import re2

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.field_words import how_to_write, our_name
from rules.parse.problems import name_hint
from rules.parse.values import MAX_RULE_DEPTH, Reader, is_number, is_scalar, join, literal
from rules.predicates.operators import OPERATORS, Operator, compile_pattern
from rules.time.instants import parse_instant

CHANGED_WITHIN: Final = Operator("changed_within", "duration", "was set to another value, or unset, since")

ATTRIBUTE_OPERATORS: Final[Mapping[str, Operator]] = {**OPERATORS, CHANGED_WITHIN.name: CHANGED_WITHIN}
"""Section 7's operators, and what attributes alone have: they know when they changed."""

COMPOSITIONS: Final = ("all", "any", "not")
"""Keys of ``where`` that aren't names of properties."""

REF_OPERANDS: Final = frozenset({"scalar", "text", "orderable"})
"""Operands that may be a ``ref``: one value."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a ``ref`` may name: ``earlier`` events. ``later`` ones are told apart in messages."""

    earlier: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    open: bool = False
    """A step has a key that isn't known, which may have been meant as ``as``."""


NO_REFS: Final = Scope()


def parse_where(
    reader: Reader, node: Node, path: str, scope: Scope = NO_REFS, depth: int = 1
) -> language.Predicate | None:
    """``{price: {gte: 50}, category: shoes}``, with ``all``, ``any`` and ``not``: every one must hold."""
    if isinstance(node.value, tuple):
        hint = "tests that must all hold stand in one map; write any: […] if one of them is enough"
        reader.wrong_type(node, path, "where", "a map", hint)
        return None
    entries = reader.entries(node, path, "where")
    if entries is None:
        return None
    if not entries:
        reader.problem("empty", "where has no tests", path, node, "leave it out to match every event")
        return None
    if depth > MAX_RULE_DEPTH:
        message = f"where is nested more than {MAX_RULE_DEPTH} deep"
        reader.problem("too_deep", message, path, node)
        return None
    parts: list[language.Predicate] = []
    faults = len(reader.problems)
    for key, entry in entries.items():
        inside = join(path, key)
        if key in ("all", "any"):
            parts.extend(_composed(reader, key, entry.node, inside, scope, depth))
        elif key == "not":
            part = parse_where(reader, entry.node, inside, scope, depth + 1)
            parts.extend([] if part is None else [language.NotTest(part)])
        elif _is_composition(key, entry.node):
            reader.unknown("unknown_key", f"unknown key '{key}'", key, inside, entry, COMPOSITIONS)
        else:
            name = reader.dotted(key, inside, entry)
            parts.extend(() if name is None else _property(reader, name, entry.node, inside, scope))
    if len(reader.problems) > faults:
        return None
    return parts[0] if len(parts) == 1 else reader.placed(language.AllTests(tuple(parts)), path, node)


def _is_composition(key: str, node: Node) -> bool:
    """Whether what follows a name is no test of a property, but ``where`` again: ``and: [{…}, {…}]``."""
    items = node.value if isinstance(node.value, tuple) else (node,)
    if not any(isinstance(item.value, Mapping) for item in items):
        return False
    if isinstance(node.value, tuple):
        return True
    known = our_name(key, COMPOSITIONS) is not None or bool(how_to_write(key, COMPOSITIONS))
    return known and isinstance(node.value, Mapping) and not any(each in OPERATORS for each in node.value)


def parse_tests(
    reader: Reader,
    name: language.Path,
    entries: Mapping[str, Entry],
    path: str,
    scope: Scope = NO_REFS,
    operators: Mapping[str, Operator] = OPERATORS,
) -> list[language.Predicate]:
    """A test for each operator in ``{gte: 50, lt: 100}``, less those that problems were noted for."""
    tests: list[language.Predicate] = []
    for key, entry in entries.items():
        inside = join(path, key)
        operator = operators.get(key)
        if operator is None:
            _unknown_operator(reader, key, entry, inside, operators)
            continue
        faults = len(reader.problems)
        operand = _operand(reader, operator, entry.node, inside, scope)
        if len(reader.problems) == faults:
            tests.append(reader.placed(language.Test(name, key, operand), inside, entry.node))
    return tests


def _unknown_operator(
    reader: Reader, key: str, entry: Entry, path: str, operators: Mapping[str, Operator]
) -> None:
    message = f"unknown operator '{key}'"
    if key == "ref":
        reader.problem("unknown_operator", message, path, entry, "write eq: {ref: ...}")
    elif key == CHANGED_WITHIN.name:
        hint = "it is for attributes, and no event's property changes"
        reader.problem("unknown_operator", message, path, entry, hint)
    else:
        reader.unknown("unknown_operator", message, key, path, entry, operators)


def check_ordered(reader: Reader, operator: str, node: Node, path: str, instants: bool) -> bool:
    """An operand of ``gt gte lt lte between``: numbers or, if ``instants``, instants given as text."""
    if operator != "between":
        return _bound(reader, operator, node, path, instants) is not None
    ends = reader.items(node, path, "between")
    if ends is None:
        return False
    if len(ends) != 2:
        reader.problem("wrong_value", "between takes two values, [low, high]", path, node)
        return False
    bounds = [_bound(reader, operator, end, join(path, at), instants) for at, end in enumerate(ends)]
    low, high = bounds
    if low is None or high is None:
        return False
    if isinstance(ends[0].value, str) is not isinstance(ends[1].value, str):
        reader.problem("wrong_value", "between takes two numbers or two instants", path, node)
        return False
    if low > high:
        reader.problem("wrong_value", "between has its low end above its high end", path, node)
        return False
    return True


def _composed(
    reader: Reader, key: str, node: Node, path: str, scope: Scope, depth: int
) -> Iterable[language.Predicate]:
    items = reader.items(node, path, key) or ()
    parts = [parse_where(reader, item, join(path, at), scope, depth + 1) for at, item in enumerate(items)]
    made = tuple(part for part in parts if part is not None)
    if not made:
        return []
    composed = language.AllTests(made) if key == "all" else language.AnyTest(made)
    return [reader.placed(composed, path, node)]


def _property(
    reader: Reader, name: language.Path, node: Node, path: str, scope: Scope
) -> Iterable[language.Predicate]:
    """What follows a property's name: a bare value is ``eq``, a bare list ``in``."""
    if isinstance(node.value, Mapping):
        if not node.value:
            reader.problem("empty", "no operator is given", path, node, "to test for presence: exists: true")
        return parse_tests(reader, name, node.value, path, scope)
    operator = OPERATORS["in" if isinstance(node.value, tuple) else "eq"]
    if not _literal_fits(reader, operator, node, path):
        return ()
    return [reader.placed(language.Test(name, operator.name, literal(node)), path, node)]


def _operand(reader: Reader, operator: Operator, node: Node, path: str, scope: Scope) -> object:
    """The operand as the model has it; without meaning when a problem was noted for it."""
    if isinstance(node.value, Mapping) and "ref" in node.value:
        return _ref(reader, operator, node.value, path, scope)
    if operator.operand == "duration":
        return reader.duration(node, path, operator.name)
    if operator.operand == "durations":
        return _durations(reader, operator, node, path)
    if operator.operand == "anniversary":
        entries = reader.entries(node, path, operator.name)
        if entries is None:
            return None
        reader.keys(entries, path, ("within",))
        return reader.required_duration(entries, "within", path, node, operator.name, ("within",))
    _literal_fits(reader, operator, node, path)
    return literal(node)


def _ref(
    reader: Reader, operator: Operator, entries: Mapping[str, Entry], path: str, scope: Scope
) -> language.Ref | None:
    entry, inside = entries["ref"], join(path, "ref")
    reader.keys(entries, path, ("ref",))
    text = reader.text(entry.node, inside, "ref")
    if operator.operand not in REF_OPERANDS:
        able = ", ".join(sorted(each.name for each in OPERATORS.values() if each.operand in REF_OPERANDS))
        message = f"{operator.name} can't refer to another event"
        reader.problem("ref", message, inside, entry, f"operators that can: {able}")
        return None
    name = None if text is None else reader.dotted(text, inside, entry)
    if name is None:
        return None
    step, rest = name[0], name[1:]
    if step not in scope.earlier:
        if not scope.open:
            reader.problem("ref", *_unknown_step(step, scope, inside, entry))
        return None
    if not rest:
        message = f"'{text}' names an event, but none of its properties"
        reader.problem("ref", message, inside, entry, f"such as {step}.sku")
        return None
    return language.Ref(step, rest)


def _unknown_step(step: str, scope: Scope, path: str, entry: Entry) -> tuple[str, str, Entry, str]:
    """Message, path, place and hint."""
    if step in scope.later:
        message = f"'{step}' isn't an earlier step"
    elif scope.earlier or scope.later:
        message = f"no event is named '{step}'"
    else:
        hint = "a ref stands in a later step of a sequence (to a step that has 'as'), or in not_followed_by"
        return "there is no earlier event to refer to", path, entry, hint
    hint = name_hint(step, scope.earlier) if scope.earlier else "name an earlier step with 'as'"
    return message, path, entry, hint


def _literal_fits(reader: Reader, operator: Operator, node: Node, path: str) -> bool:
    """Whether a literal operand suits the operator; a problem is noted if not."""
    name = operator.name
    match operator.operand:
        case "scalar":
            return _scalar(reader, name, node, path)
        case "scalars":
            items = reader.items(node, path, name) or ()
            fit = [_scalar(reader, name, item, join(path, at)) for at, item in enumerate(items)]
            return bool(fit) and all(fit)
        case "orderable" | "range":
            return check_ordered(reader, name, node, path, instants=True)
        case "flag":
            if not isinstance(node.value, bool):
                reader.wrong_type(node, path, name, "true or false")
            return isinstance(node.value, bool)
        case "text" | "pattern":
            if not isinstance(node.value, str):
                reader.wrong_type(node, path, name, "text")
                return False
            return operator.operand == "text" or _pattern(reader, node.value, node, path)
        case "duration" | "durations" | "anniversary":
            raise ValueError(f"{name} takes no literal")


def _durations(reader: Reader, operator: Operator, node: Node, path: str) -> tuple[int, int] | None:
    """``[3d, 7d]`` in ms."""
    ends = reader.items(node, path, operator.name)
    if ends is None:
        return None
    if len(ends) != 2:
        message = f"{operator.name} takes two durations, [near, far]"
        reader.problem("wrong_value", message, path, node, "such as [3d, 7d]")
        return None
    near, far = (reader.duration(end, join(path, at), operator.name) for at, end in enumerate(ends))
    if near is None or far is None:
        return None
    if near >= far:
        message = f"the far end of {operator.name} must be longer than its near end"
        reader.problem(
            "wrong_value", message, path, node, "such as [3d, 7d]: from 3 days ahead to 7 days ahead"
        )
        return None
    return near, far


def _scalar(reader: Reader, name: str, node: Node, path: str) -> bool:
    if not is_scalar(node):
        reader.wrong_type(node, path, name, "text, a number, true, false or null")
    return is_scalar(node)


def _pattern(reader: Reader, pattern: str, node: Node, path: str) -> bool:
    try:
        compile_pattern(pattern)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "it doesn't compile"
        hint = "RE2 syntax: no look-around and no back-references"
        reader.problem("pattern", f"not a regular expression: {reason}", path, node, hint)
        return False
    return True


def _bound(reader: Reader, operator: str, node: Node, path: str, instants: bool) -> float | int | None:
    """The number, or the instant in UTC milliseconds."""
    if is_number(node):
        return node.value  # type: ignore[return-value]
    if not (instants and isinstance(node.value, str)):
        reader.wrong_type(node, path, operator, "a number or an instant" if instants else "a number")
        return None
    try:
        return parse_instant(node.value)
    except ValueError:
        hint = "such as 2024-05-01 or 2024-05-01T09:30:00Z; numbers go without quotes"
        message = f"{operator} needs a number or an instant, and '{node.value}' is neither"
        reader.problem("wrong_value", message, path, node, hint)
        return None
