"""Pieces of the JSON Schema of definitions, each from its table: operands, tests, aggregates, windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from rules.parse.aggregate import COMPARISONS, BoundKind, Kind
from rules.parse.predicate import REF_OPERANDS
from rules.parse.window import LAST_UNITS, PERIODS, WINDOWS
from rules.predicates.operators import OPERATORS, Operator
from rules.time.durations import UNITS_MS

Schema: TypeAlias = dict[str, object]

TEXT: Final[Schema] = {"type": "string", "pattern": r"\S"}
PATH: Final[Schema] = {
    "type": "string",
    "pattern": r"^(?!.*\.[0-9]+(\.|$))[^.]+(\.[^.]+)*$",
    "description": "A property's name. Dots lead into objects; lines[].sku is that of any element of a list.",
}
REFERENCE: Final[Schema] = {
    "type": "string",
    "pattern": r"^[^.]+(\.[^.]+)+$",
    "description": "A property of an earlier event: its name in this rule, a dot, the property's name.",
    "examples": ["v.sku"],
}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
_ORDERABLE: Final[Schema] = {"type": ["number", "string"]}
_NOT_EMPTY: Final[Schema] = {"minProperties": 1}

_OPERANDS: Final[Mapping[str, Schema]] = {
    "scalar": _SCALAR,
    "scalars": {"type": "array", "items": _SCALAR, "minItems": 1},
    "text": {"type": "string"},
    "orderable": _ORDERABLE,
    "range": {"type": "array", "items": _ORDERABLE, "minItems": 2, "maxItems": 2},
    "pattern": {"type": "string"},
    "flag": {"type": "boolean"},
    "duration": {"$ref": "#/$defs/duration"},
    "where": {"$ref": "#/$defs/where"},
    "durations": {
        "type": "array",
        "items": {"$ref": "#/$defs/duration"},
        "minItems": 2,
        "maxItems": 2,
    },
    "anniversary": {
        "type": "object",
        "properties": {"within": {"$ref": "#/$defs/duration"}},
        "required": ["within"],
        "additionalProperties": False,
    },
}
_BOUNDS: Final[Mapping[BoundKind, Schema]] = {
    "whole": {"type": "integer", "minimum": 0},
    "number": {"type": "number"},
    "duration": {"$ref": "#/$defs/duration"},
}


def duration_schema() -> Schema:
    units = "|".join(sorted(UNITS_MS, key=len, reverse=True))
    return {
        "type": "string",
        "pattern": f"^0*[1-9][0-9]*({units})$",
        "description": f"A whole number and a unit ({', '.join(UNITS_MS)}); a day is 24 hours.",
        "examples": ["30m", "7d"],
    }


def events_schema() -> Schema:
    names: Schema = {"type": "array", "items": {**TEXT, "not": {"const": "*"}}, "minItems": 1}
    some: Schema = {"type": "array", "items": {"const": "*"}, "minItems": 1}
    return {"description": "A name, a list of names, or '*' for any event.", "anyOf": [TEXT, names, some]}


def where_schema(refs: bool) -> Schema:
    own = ref_to("where_with_refs" if refs else "where")
    tests: Schema = {name: operand_schema(operator, refs) for name, operator in OPERATORS.items()}
    value: Schema = {
        "anyOf": [
            _SCALAR,
            {"type": "array", "items": _SCALAR, "minItems": 1},
            {**object_of(tests), **_NOT_EMPTY},
        ]
    }
    return {
        "type": "object",
        **_NOT_EMPTY,
        "description": "Every property listed must pass; a bare value means eq, a bare list in.",
        "properties": {"all": list_of(own), "any": list_of(own), "not": own},
        "propertyNames": PATH,
        "additionalProperties": value,
    }


def operand_schema(operator: Operator, refs: bool = False) -> Schema:
    if operator.operand == "where":
        return {"description": operator.doc, **ref_to("where_with_refs" if refs else "where")}
    schema = {"description": operator.doc, **_OPERANDS[operator.operand]}
    if refs and operator.operand in REF_OPERANDS:
        return {"description": operator.doc, "anyOf": [_OPERANDS[operator.operand], ref_to("ref")]}
    return schema


def period_schema() -> Schema:
    last = object_of(
        {"last": {"type": "integer", "minimum": 1}, "unit": {"enum": list(LAST_UNITS)}}, ["last", "unit"]
    )
    return {"anyOf": [{"enum": list(PERIODS)}, last]}


def comparisons_schema(names: Iterable[str], bound: BoundKind) -> Schema:
    one = _BOUNDS[bound]
    pair: Schema = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    return {name: pair if name == "between" else one for name in names}


def aggregate_schema(kind: Kind) -> Schema:
    own: Schema = {"property": PATH} if kind.of_property else {}
    if kind.bound == "tests":
        tests: Schema = {name: operand_schema(operator) for name, operator in OPERATORS.items()}
    else:
        tests = comparisons_schema(COMPARISONS, kind.bound)
    schema = object_of({**own, **tests}, list(own))
    return {**schema, "description": kind.doc, "minProperties": 1 + len(own)}


def windows_schema(keys: Iterable[str], entry: bool) -> Schema:
    duration = ref_to("duration")
    schemas: dict[str, Schema] = {
        "within": ref_to("within") if entry else duration,
        "between_ago": {"type": "array", "items": duration, "minItems": 2, "maxItems": 2},
        "from": ref_to("instant"),
        "to": ref_to("instant"),
        "period": ref_to("period"),
    }
    return {key: {**schemas[key], "description": WINDOWS[key]} for key in keys}


def one_window(keys: Iterable[str]) -> list[Schema]:
    """At most one of them, ``from`` and ``to`` counting as one."""
    others = [key for key in keys if key not in ("from", "to")]
    fixed: Schema = {"anyOf": [{"required": ["from"]}, {"required": ["to"]}]}
    no_other: Schema = {"not": {"anyOf": [{"required": [key]} for key in others]}}
    return [at_most_one(others), {"if": fixed, "then": no_other}]


def at_most_one(keys: Iterable[str]) -> Schema:
    found = list(keys)
    pairs = [{"required": [one, two]} for at, one in enumerate(found) for two in found[at + 1 :]]
    return {"not": {"anyOf": pairs}}


def pattern_schema(refs: bool = False) -> Schema:
    return {"event": ref_to("events"), "where": ref_to("where_with_refs" if refs else "where")}


def object_of(properties: Schema, required: list[str] | None = None) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def ref_to(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
