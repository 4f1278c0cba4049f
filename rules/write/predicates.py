"""Predicates as JSON-able data that parses back to equal ones (the reverse of ``rules.parse.predicate``)."""

from __future__ import annotations

from typing import Final, TypeAlias

from rules.model import language
from rules.parse.predicate import CHANGED_WITHIN
from rules.predicates.operators import OPERATORS
from rules.time.durations import format_duration

Document = dict[str, object]

_Named: TypeAlias = tuple[str, Document]
"""A name and what is asked of it: ``("lines[].qty", {"gte": 2})``."""

_DURATIONS: Final = frozenset(
    each.name for each in (*OPERATORS.values(), CHANGED_WITHIN) if each.operand == "duration"
)


def where_document(predicate: language.Predicate) -> Document:
    """``where`` as the language writes it."""
    match predicate:
        case language.Test() | language.Elements():
            name, operators = _short(predicate) or _plain(predicate)
            return {name: operators}
        case language.AllTests(parts=parts):
            return _one_map(parts) or {"all": [where_document(part) for part in parts]}
        case language.AnyTest(parts=parts):
            return {"any": [where_document(part) for part in parts]}
        case language.NotTest(part=part):
            return {"not": where_document(part)}


def of_one_name(predicate: language.Predicate) -> _Named:
    """The name that a predicate is about, and its operators. Raises TypeError if it is about several."""
    short = _short(predicate)
    if short is not None:
        return short
    parts = predicate.parts if isinstance(predicate, language.AllTests) else (predicate,)
    (name,) = {_plain(part)[0] for part in parts}
    return name, operators_document(predicate)


def operators_document(predicate: language.Predicate) -> Document:
    """``{gte: 5, lt: 9}`` of tests that are all about one value."""
    parts = predicate.parts if isinstance(predicate, language.AllTests) else (predicate,)
    return {operator: operand for part in parts for operator, operand in _plain(part)[1].items()}


def _plain(predicate: language.Predicate) -> _Named:
    match predicate:
        case language.Test(path=path, operator=operator):
            return ".".join(path), {operator: _operand(predicate)}
        case language.Elements(path=path, quantifier=quantifier, test=test):
            return ".".join(path), {quantifier: where_document(test)}
        case _:
            raise TypeError(f"only plain tests have a place here, not {predicate!r}")


def _short(predicate: language.Predicate) -> _Named | None:
    """With ``[]`` where it can be: ``lines[].sku`` for ``some`` whose tests are all about one name."""
    match predicate:
        case language.Test():
            return _plain(predicate)
        case language.Elements(path=path, quantifier="some", test=test) if path:
            inner = _short(test)
            if inner is None or inner[0].partition(".")[0].isdecimal():  # it would be taken for a position
                return _plain(predicate)
            dot = "." if inner[0] else ""
            return f"{'.'.join(path)}{language.ELEMENTS}{dot}{inner[0]}", inner[1]
        case language.Elements():
            return _plain(predicate)
        case language.AllTests(parts=parts) if len(parts) > 1:
            named = [_plain(part) for part in parts if isinstance(part, language.Test | language.Elements)]
            operators = {operator: operand for _, each in named for operator, operand in each.items()}
            if len(operators) == len(parts) and len({name for name, _ in named}) == 1:
                return named[0][0], operators
    return None


def _one_map(parts: tuple[language.Predicate, ...]) -> Document | None:
    """``{price: {gte: 50, lt: 100}, …}`` where that says the same tests in the same order."""
    tests: dict[str, Document] = {}
    latest = None
    for part in parts:
        named = _short(part) if isinstance(part, language.Test | language.Elements) else None
        if named is None:
            return None
        name, operators = named
        before = tests.get(name)
        if before is None:
            tests[name] = dict(operators)
        elif latest != name or language.ELEMENTS in name or before.keys() & operators.keys():
            return None  # together they would say that one element passes both
        else:
            before |= operators
        latest = name
    return dict(tests) if len(parts) > 1 else None


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
    return list(operand) if isinstance(operand, tuple) else operand
