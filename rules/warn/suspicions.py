"""Text and names that look like something else: ``yes`` for true, ``">50"``, ``items.0.sku``.

They may be meant as they stand, so these are warnings of what is probably a slip, not of what can't be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from rules.model import language
from rules.parse.audience import ParsedAudience
from rules.parse.field_words import our_name
from rules.parse.problems import DefinitionProblem
from rules.predicates.operators import OPERATORS
from rules.warn.patterns import attributes_asked, events_asked
from rules.warn.places import named_node, place_of, problem_at

_EQUAL: Final = frozenset({"eq", "ne", "in", "not_in"})
_PARTS: Final = frozenset({"contains", "not_contains", "icontains", "starts_with", "ends_with", "matches"})
_YES, _NO = frozenset({"yes", "y", "on"}), frozenset({"no", "n", "off"})
_NULLS: Final = frozenset({"none", "nil", "undefined", "null"})
_COMPARISON = re.compile(r"\s*(>=|=>|<=|=<|==|!=|<>|>|<|=)\s*(\S.*)")
_SYMBOLS: Final[Mapping[str, str]] = {
    ">": "gt", ">=": "gte", "=>": "gte", "<": "lt", "<=": "lte", "=<": "lte", "=": "eq", "==": "eq",
    "!=": "ne", "<>": "ne",
}  # fmt: skip
_RANGE = re.compile(r"\s*(-?\d[\d.]*?)\s*(?:\.\.\.?|\bto\b)\s*(-?\d[\d.]*)\s*")
_LIST = re.compile(r"[\w-]+([,|;][\w-]+)+")
_TEMPLATE = re.compile(r"\{\{.*\}\}|\$\{.*\}|<%.*%>")
_INDEX = re.compile(r"(^|\.)\d+(\.|$)|\[(\d+|\*)\]")
_OF_PROPERTIES: Final = ("properties.", "event.properties.", "$.properties.", "$.", "event.params.")
_OF_ATTRIBUTES: Final = ("attributes.", "traits.", "user.traits.", "$.", "user.attributes.", "properties.")


def suspicions(each: ParsedAudience) -> Iterator[DefinitionProblem]:
    for asked in events_asked(each.audience.rule):
        at = named_node(each, asked.part)
        for name in asked.names:
            for message, hint in _of_event_name(name):
                yield problem_at(each, asked.part, "suspicious_name", message, hint, at)
        for test in asked.tests:
            yield from _of_test(each, test, test, _OF_PROPERTIES)
        if asked.property is not None:
            name = ".".join(asked.property)
            for message, hint in _of_name(name, _OF_PROPERTIES):
                yield problem_at(each, asked.part, "suspicious_name", message, hint)
        if _is_triple(asked.tests):
            message = "'operator' and 'value' are taken as the names of properties"
            hint = "write {<property>: {<operator>: <value>}}, such as {price: {gte: 50}}"
            yield problem_at(each, asked.tests[0], "suspicious_name", message, hint)
    for condition, test in attributes_asked(each.audience.rule):
        yield from _of_test(each, condition, test, _OF_ATTRIBUTES)


def _of_event_name(name: str) -> Iterator[tuple[str, str]]:
    if name != name.strip():
        yield f"the event name '{name}' begins or ends with a blank", "names are compared as they stand"
    elif name != language.ANY_EVENT and name.strip("%").strip("*") != name:
        yield f"'{name}' is the name of one event: names have no wildcards", "write a list of names, or '*'"
    elif _LIST.fullmatch(name) and ("|" in name or "," in name):
        told = ", ".join(re.split(r"[,|;]", name))
        yield f"'{name}' is the name of one event", f"a list of names is written [{told}]"


def _of_test(
    each: ParsedAudience, named: object, test: language.Test, heads: tuple[str, ...]
) -> Iterator[DefinitionProblem]:
    for message, hint in _of_name(".".join(test.path), heads):
        yield problem_at(each, named, "suspicious_name", message, hint)
    node = place_of(each, test).node
    items = node.value if isinstance(node.value, tuple) else (node,)
    operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    for operand, item in zip(operands, items, strict=False):
        if isinstance(operand, str) and item.value == operand:
            for message, hint in _of_text(test.operator, operand, item.plain):
                yield problem_at(each, test, "suspicious_value", message, hint, item)


def _of_name(name: str, heads: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if name != name.strip():
        yield f"the name '{name}' begins or ends with a blank", "names are compared as they stand"
    elif _INDEX.search(name):
        told = re.sub(r"\.\d+(?=\.|$)|\[(\d+|\*)\]", "[]", name)
        yield f"'{name}' has an index, and an index of a list is not a name", f"any element: {told}"
    elif head := next((each for each in heads if name.startswith(each) and name != each), ""):
        yield f"'{name}' is looked for inside of '{head.rstrip('.')}'", f"write {name.removeprefix(head)}"
    elif (name in OPERATORS and name not in ("contains", "matches")) or (
        not name.isidentifier() and our_name(name, OPERATORS)
    ):
        hint = "write {<property>: {<operator>: <value>}}, such as {price: {gte: 50}}"
        yield f"'{name}' is taken as the name of a property", hint


def _of_text(operator: str, text: str, plain: bool) -> Iterator[tuple[str, str]]:
    folded = text.casefold()
    if operator in _PARTS and text == "":
        yield f"every text has '', so {operator} is true of each", "to test for presence: exists: true"
    elif text != text.strip() and operator in _EQUAL:
        yield f"'{text}' begins or ends with a blank", "texts are compared as they stand"
    elif _TEMPLATE.search(text):
        yield f"'{text}' is compared as it stands: nothing is filled in", ""
    elif operator == "matches":
        if len(text) > 2 and text[0] == text[-1] == "/":
            yield f"'{text}' asks for the slashes, too", f"write {text[1:-1]}"
    elif operator in ("contains", "not_contains", "icontains", "starts_with", "ends_with") and "|" in text:
        yield (
            f"{operator} asks for '{text}' as it stands",
            "write any: […], or matches with a regular expression",
        )
    elif operator in _EQUAL:
        yield from _of_equal(operator, text, folded, plain)


def _of_equal(operator: str, text: str, folded: str, plain: bool) -> Iterator[tuple[str, str]]:
    if plain and folded in _YES | _NO:
        meant = "true" if folded in _YES else "false"
        yield f"{text} is text, not a boolean", f"write {meant}; or '{text}' in quotes, if the text is meant"
    elif folded in ("true", "false"):
        yield f"'{text}' is text, not a boolean", f"write {folded} without quotes"
    elif folded in _NULLS:
        yield f"'{text}' is text, not null", "write exists: false for a value that is missing or null"
    elif found := _COMPARISON.fullmatch(text):
        symbol, bound = found.groups()
        yield f"'{text}' is compared as text", f"write {_SYMBOLS[symbol]}: {bound}"
    elif found := _RANGE.fullmatch(text):
        yield f"'{text}' is compared as text", f"write between: [{found[1]}, {found[2]}]"
    elif (
        any(map(str.isalnum, text))
        and (text[0] in "*%" or text[-1] in "*%")
        and not text[:-1].strip().isdigit()
    ):
        hint = "write starts_with, ends_with, contains or matches"
        yield f"'{text}' is compared as it stands: {operator} has no wildcards", hint
    elif (text.startswith("^") and len(text) > 1) or ".*" in text:
        yield (
            f"'{text}' is compared as it stands: {operator} takes no expressions",
            f"write matches: '{text}'",
        )
    elif _LIST.fullmatch(text):
        told = ", ".join(re.split(r"[,|;]", text))
        yield f"'{text}' is one text", f"a list of values is written in: [{told}]"


def _is_triple(tests: tuple[language.Test, ...]) -> bool:
    names = {test.path[-1] for test in tests if len(test.path) == 1}
    return bool(names & {"operator", "op", "comparator"}) and bool(names & {"value", "values"})
