"""Operators on properties and attributes, compiled to closures (docs/semantics.md, section 7).

A value is what a JSON decoder gives: ``str``, ``int``, ``float``, ``bool``, None, or a list or dict of
such. Nothing in a value raises; a definition that the parser would refuse may.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import re2

from rules.predicates.paths import MISSING
from rules.time.instants import parse_instant

ValueTest: TypeAlias = Callable[[object], bool]
"""A compiled operator over one value, MISSING when there is none."""

OperandKind: TypeAlias = Literal[
    "scalar",
    "scalars",
    "text",
    "orderable",
    "range",
    "pattern",
    "flag",
    "duration",
    "durations",
    "anniversary",
    "where",
]
"""``duration`` is one (ms in the model), ``durations`` are a low and a higher one; ``anniversary`` is
``{within: duration}``, the model has its ms; ``where`` is tests of an element of a list."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of section 7: its operand is a scalar, a list of scalars, text, a number or instant, ..."""

    name: str
    operand: OperandKind
    doc: str


OPERATORS: Final[Mapping[str, Operator]] = {
    operator.name: operator
    for operator in (
        Operator("eq", "scalar", "equals, types agreeing"),
        Operator("ne", "scalar", "doesn't equal, or is missing"),
        Operator("in", "scalars", "equals one of the list"),
        Operator("not_in", "scalars", "equals none of the list, or is missing"),
        Operator("gt", "orderable", "is greater, or later"),
        Operator("gte", "orderable", "is greater or equal, or not earlier"),
        Operator("lt", "orderable", "is less, or earlier"),
        Operator("lte", "orderable", "is less or equal, or not later"),
        Operator("between", "range", "is between two numbers or instants, both ends in"),
        Operator("contains", "scalar", "a string has the text, or an array the item"),
        Operator("not_contains", "scalar", "a string hasn't the text, an array hasn't the item, or neither"),
        Operator("starts_with", "text", "a string starts with the text"),
        Operator("ends_with", "text", "a string ends with the text"),
        Operator("icontains", "text", "a string has the text, ignoring case"),
        Operator("ieq", "text", "a string equals the text, ignoring case"),
        Operator("matches", "pattern", "a regular expression (RE2) is found in a string"),
        Operator("exists", "flag", "is present and not null (false: is missing or null)"),
        Operator("any_of", "scalars", "an array has at least one of the list"),
        Operator("all_of", "scalars", "an array has every one of the list"),
        Operator("some", "where", "is a list, and some element passes all of these tests"),
        Operator("every", "where", "is a list with elements, and all of them pass these tests"),
        Operator("none", "where", "has no element that passes all of these tests, or is no list"),
        Operator("older_than", "duration", "an instant or date lies further back"),
        Operator("newer_than", "duration", "an instant or date lies less far back"),
        Operator("in_next", "duration", "an instant or date lies ahead, less far"),
        Operator(
            "between_next",
            "durations",
            "an instant or date lies so far ahead: `[3d, 7d]`, the far end not in",
        ),
        Operator("anniversary", "anniversary", "an instant's or date's day comes round again so soon"),
    )
}
"""Section 7's operators."""

FOLDING: Final = frozenset({"icontains", "ieq"})
"""Those that ignore case."""


def compile_operator(operator: str, operand: object) -> ValueTest:
    """A closure with the truth of one operator for a value (or MISSING)."""
    return _COMPILERS[operator](operand)


def compile_pattern(pattern: str) -> ValueTest:
    """Whether a string has a match of an RE2 expression. Raises ``re2.error`` if it doesn't compile."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    # As bytes: re2 then skips the translation of offsets to characters, which nobody asks for, and a
    # lone surrogate passes as a character of its own instead of raising.
    search = re2.compile(pattern.encode("utf-8", "surrogatepass"), options).search

    def found(value: object) -> bool:
        return isinstance(value, str) and search(value.encode("utf-8", "surrogatepass")) is not None

    return found


def _equal(operand: object) -> ValueTest:
    if isinstance(operand, bool) or operand is None:
        return lambda value: value is operand
    if isinstance(operand, str):
        return lambda value: value == operand
    # A number: of the values only a boolean can equal it and be something else.
    return lambda value: value == operand and type(value) is not bool


def _one_of(operand: object) -> ValueTest:
    identities = frozenset(map(_identity, _items(operand)))
    return lambda value: _identity(value) in identities


def _identity(value: object) -> object:
    """A hashable that is equal for equal scalars of one type; None for what equals no scalar."""
    match value:
        case bool() | None:
            return type(value), value
        case str() | int() | float():
            return value
        case _:
            return None


def _items(operand: object) -> tuple[object, ...]:
    if not isinstance(operand, tuple):
        raise TypeError(f"a list of values is expected, not {operand!r}")
    return operand


Number: TypeAlias = int | float


def _number(value: object) -> Number | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_instant(value: object) -> int | None:
    """UTC milliseconds of a string that is an instant or a date; None for all else."""
    if type(value) is not str:
        return None
    try:
        return parse_instant(value)
    except (ValueError, OverflowError):
        return None


def _ordered(compare: Callable[[Number, Number], bool]) -> Callable[[object], ValueTest]:
    """A comparison of two numbers, or of two instants given as strings."""

    def compiler(operand: object) -> ValueTest:
        read, bound = _reader(operand)
        return lambda value: (number := read(value)) is not None and compare(number, bound)

    return compiler


def _reader(operand: object) -> tuple[Callable[[object], Number | None], Number]:
    """How to read values to compare with ``operand``, and ``operand`` read so."""
    read = read_instant if type(operand) is str else _number
    bound = read(operand)
    if bound is None:
        raise ValueError(f"{operand!r} is neither a number nor an instant")
    return read, bound


def _between(operand: object) -> ValueTest:
    low_operand, high_operand = _items(operand)
    read, low = _reader(low_operand)
    _, high = _reader(high_operand)

    return lambda value: (number := read(value)) is not None and low <= number <= high


def _contains(operand: object) -> ValueTest:
    equal = _equal(operand)
    text = operand if isinstance(operand, str) else None

    def test(value: object) -> bool:
        if isinstance(value, str):
            return text is not None and text in value
        return isinstance(value, list) and any(map(equal, value))

    return test


def _on_text(apply: Callable[[str, str], bool]) -> Callable[[object], ValueTest]:
    def compiler(operand: object) -> ValueTest:
        text = str(operand)
        return lambda value: isinstance(value, str) and apply(value, text)

    return compiler


def _on_folded(apply: Callable[[str, str], bool]) -> Callable[[object], ValueTest]:
    def compiler(operand: object) -> ValueTest:
        text = str(operand).casefold()
        return lambda value: isinstance(value, str) and apply(value.casefold(), text)

    return compiler


def _exists(operand: object) -> ValueTest:
    if operand:
        return lambda value: value is not None and value is not MISSING
    return lambda value: value is None or value is MISSING


def _overlaps(operand: object) -> ValueTest:
    one_of = _one_of(operand)
    return lambda value: isinstance(value, list) and any(map(one_of, value))


def _covers(operand: object) -> ValueTest:
    wanted = frozenset(map(_identity, _items(operand)))
    return lambda value: isinstance(value, list) and wanted.issubset(map(_identity, value))


def _negated(compiler: Callable[[object], ValueTest]) -> Callable[[object], ValueTest]:
    def negation(operand: object) -> ValueTest:
        test = compiler(operand)
        return lambda value: not test(value)

    return negation


_COMPILERS: Final[Mapping[str, Callable[[object], ValueTest]]] = {
    "eq": _equal,
    "ne": _negated(_equal),
    "in": _one_of,
    "not_in": _negated(_one_of),
    "gt": _ordered(python.gt),
    "gte": _ordered(python.ge),
    "lt": _ordered(python.lt),
    "lte": _ordered(python.le),
    "between": _between,
    "contains": _contains,
    "not_contains": _negated(_contains),
    "starts_with": _on_text(str.startswith),
    "ends_with": _on_text(str.endswith),
    "icontains": _on_folded(python.contains),
    "ieq": _on_folded(python.eq),
    "matches": lambda operand: compile_pattern(str(operand)),
    "exists": _exists,
    "any_of": _overlaps,
    "all_of": _covers,
}
