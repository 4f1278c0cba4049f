"""``where`` and the operators of attribute conditions, parsed and checked (docs/semantics.md, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.field_words import how_to_write, our_name
from rules.parse.literals import literal_fits, parse_durations
from rules.parse.names import parse_name, parse_single_name
from rules.parse.problems import name_hint
from rules.parse.values import MAX_RULE_DEPTH, Reader, is_scalar, join, literal
from rules.predicates.operators import OPERATORS, Operator

CHANGED_WITHIN: Final = Operator("changed_within", "duration", "was set to another value, or unset, since")

ATTRIBUTE_OPERATORS: Final[Mapping[str, Operator]] = {**OPERATORS, CHANGED_WITHIN.name: CHANGED_WITHIN}
"""Section 7's operators, and what attributes alone have: they know when they changed."""

COMPOSITIONS: Final = ("all", "any", "not")
"""Keys of ``where`` that aren't names of properties."""

QUANTIFIERS: Final[Mapping[str, language.Quantifier]] = {"some": "some", "every": "every", "none": "none"}
"""The operators that take a ``where`` over the elements of a list."""

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
    reader: Reader, node: Node, path: str, scope: Scope = NO_REFS, depth: int = 1, what: str = "where"
) -> language.Predicate | None:
    """``{price: {gte: 50}, category: shoes}``, with ``all``, ``any`` and ``not``: every one must hold.

    ``what`` is the key that it stands under, for messages.
    """
    if isinstance(node.value, tuple):
        hint = "tests that must all hold stand in one map; write any: […] if one of them is enough"
        reader.wrong_type(node, path, what, "a map", hint)
        return None
    entries = reader.entries(node, path, what)
    if entries is None:
        return None
    if not entries:
        hint = "leave it out to match every event" if what == "where" else "such as {sku: hat}"
        reader.problem("empty", f"{what} has no tests", path, node, hint)
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
            name = parse_name(reader, key, inside, entry)
            parts.extend(() if name is None else _property(reader, name, entry.node, inside, scope, depth))
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
    depth: int = 1,
) -> list[language.Predicate]:
    """A test for each operator in ``{gte: 50, lt: 100}``, less those that problems were noted for."""
    tests: list[language.Predicate] = []
    for key, entry in entries.items():
        inside = join(path, key)
        operator = operators.get(key)
        if operator is None:
            _unknown_operator(reader, key, entry, inside, operators)
            continue
        if operator.operand == "where":
            tests += _over_elements(reader, name, key, entry.node, inside, scope, depth)
            continue
        faults = len(reader.problems)
        operand = _operand(reader, operator, entry.node, inside, scope)
        if len(reader.problems) == faults:
            tests.append(reader.placed(language.Test(name, key, operand), inside, entry.node))
    return tests


def of_some_element(
    name: language.Path, parse: Callable[[language.Path], Iterable[language.Predicate]]
) -> list[language.Predicate]:
    """What ``parse`` makes of a name. If the name goes through lists, one predicate: that some element
    satisfies all of what ``parse`` makes of the rest of the name."""
    lists: list[language.Path] = []
    rest: language.Path = ()
    for part in name:
        rest = (*rest, part.removesuffix(language.ELEMENTS))
        if part.endswith(language.ELEMENTS):
            lists.append(rest)
            rest = ()
    tests = [*parse(rest)]
    if not lists or not tests:
        return tests
    made = tests[0] if len(tests) == 1 else language.AllTests(tuple(tests))
    for path in reversed(lists):
        made = language.Elements(path, "some", made)
    return [made]


def _over_elements(
    reader: Reader, name: language.Path, key: str, node: Node, path: str, scope: Scope, depth: int
) -> list[language.Predicate]:
    """``some: {sku: hat, qty: {gte: 2}}``: ``where`` over each element of the list ``name``."""
    if is_scalar(node):
        hint = "to test whether a list has an item, write contains"
        reader.wrong_type(node, path, key, "tests of an element's properties", hint)
        return []
    test = parse_where(reader, node, path, scope, depth + 1, key)
    return [] if test is None else [language.Elements(name, QUANTIFIERS[key], test)]


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
    reader: Reader, name: language.Path, node: Node, path: str, scope: Scope, depth: int
) -> Iterable[language.Predicate]:
    return of_some_element(name, lambda rest: _tests(reader, rest, node, path, scope, depth))


def _tests(
    reader: Reader, name: language.Path, node: Node, path: str, scope: Scope, depth: int
) -> Iterable[language.Predicate]:
    """What follows a property's name: a bare value is ``eq``, a bare list ``in``."""
    if isinstance(node.value, Mapping):
        if not node.value:
            reader.problem("empty", "no operator is given", path, node, "to test for presence: exists: true")
        return parse_tests(reader, name, node.value, path, scope, depth=depth)
    operator = OPERATORS["in" if isinstance(node.value, tuple) else "eq"]
    if not literal_fits(reader, operator, node, path):
        return ()
    return [reader.placed(language.Test(name, operator.name, literal(node)), path, node)]


def _operand(reader: Reader, operator: Operator, node: Node, path: str, scope: Scope) -> object:
    """The operand as the model has it; without meaning when a problem was noted for it."""
    if isinstance(node.value, Mapping) and "ref" in node.value:
        return _ref(reader, operator, node.value, path, scope)
    if operator.operand == "duration":
        return reader.duration(node, path, operator.name)
    if operator.operand == "durations":
        return parse_durations(reader, operator, node, path)
    if operator.operand == "anniversary":
        entries = reader.entries(node, path, operator.name)
        if entries is None:
            return None
        reader.keys(entries, path, ("within",))
        return reader.required_duration(entries, "within", path, node, operator.name, ("within",))
    literal_fits(reader, operator, node, path)
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
    parts = None if text is None else reader.dotted(text, inside, entry)
    if parts is None:
        return None
    step, rest = parts[0], parts[1:]
    if step not in scope.earlier:
        if not scope.open:
            reader.problem("ref", *_unknown_step(step, scope, inside, entry))
        return None
    if not rest:
        message = f"'{text}' names an event, but none of its properties"
        reader.problem("ref", message, inside, entry, f"such as {step}.sku")
        return None
    name = parse_single_name(reader, ".".join(rest), inside, entry, "a ref")
    return None if name is None else language.Ref(step, name)


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
