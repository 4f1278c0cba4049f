"""A JSON Schema (draft 2020-12) of definitions, made from the tables of the language, for editors.

It knows keys, names, units and shapes, so that an editor completes and checks them while they are typed. What
takes more than the shape of one value is the parser's alone: references, ranges that must not be empty,
regular expressions, time zones, limits. Whatever the parser takes, the schema takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules.parse.aggregate import AGGREGATES
from rules.parse.audience import KEYS, SCHEDULES, TYPES
from rules.parse.backfill import EXISTING, HISTORIES
from rules.parse.backfill import KEYS as BACKFILL
from rules.parse.event import MAX_STEPS, MIN_STEPS, OF_FOLLOWED
from rules.parse.predicate import ATTRIBUTE_OPERATORS
from rules.parse.rule import KINDS, SCORE_COMPARISONS
from rules.parse.values import NAME
from rules.parse.window import OF_NOT_FOLLOWED, OF_SEQUENCE, WINDOW_KEYS
from rules.write.schema_parts import (
    PATH,
    REFERENCE,
    TEXT,
    Schema,
    aggregate_schema,
    at_most_one,
    comparisons_schema,
    duration_schema,
    events_schema,
    list_of,
    object_of,
    one_window,
    operand_schema,
    pattern_schema,
    period_schema,
    ref_to,
    where_schema,
    windows_schema,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def definitions_schema() -> Schema:
    """The schema of a document of definitions: one of them, or a list under ``audiences``."""
    listed = object_of({"audiences": list_of(ref_to("definition"))}, ["audiences"])
    return {
        "$schema": DIALECT,
        "title": "Turnstile audience definitions",
        "if": {"type": "object", "required": ["audiences"]},
        "then": listed,
        "else": ref_to("definition"),
        "$defs": {
            "definition": _definition(),
            "rule": _rule(),
            "duration": duration_schema(),
            "instant": {
                "type": ["string", "number"],
                "description": "RFC 3339, a date (the start of that day in the audience's time zone), "
                "or epoch seconds or milliseconds.",
                "examples": ["2024-05-01T09:30:00Z", "2024-05-01"],
            },
            "id": {"type": "string", "pattern": f"^{NAME}$"},
            "events": events_schema(),
            "ref": object_of({"ref": REFERENCE}, ["ref"]),
            "where": where_schema(refs=False),
            "where_with_refs": where_schema(refs=True),
            "period": period_schema(),
            "within": {"anyOf": [ref_to("duration"), object_of({"audience": ref_to("id")}, ["audience"])]},
            **{name: _condition(name) for name in _CONDITIONS},
        },
    }


def _definition() -> Schema:
    properties: Schema = {
        "id": ref_to("id"),
        "name": TEXT,
        "description": {"type": "string"},
        "project": {**ref_to("id"), "default": "default"},
        "type": {"enum": list(TYPES), "default": "realtime"},
        "timezone": {**TEXT, "default": "UTC", "examples": ["Asia/Shanghai"]},
        "schedule": {
            "anyOf": [{"enum": list(SCHEDULES)}, {"type": "string", "pattern": r"^\s*(\S+\s+){4}\S+\s*$"}],
            "default": "daily",
        },
        "labels": {"type": "array", "items": TEXT},
        "backfill": _backfill(),
        "rule": ref_to("rule"),
    }
    described: Schema = {
        key: {**schema, "description": doc}
        for key, doc in KEYS.items()
        if isinstance(schema := properties[key], dict)
    }
    schema = object_of(described, ["id", "name", "rule"])
    batch: Schema = {"properties": {"type": {"const": "batch"}}, "required": ["type"]}
    return {**schema, "dependentSchemas": {"schedule": batch}}


def _backfill() -> Schema:
    history: Schema = {"anyOf": [{"enum": list(HISTORIES)}, ref_to("duration")]}
    return object_of(
        {
            "existing": {"enum": list(EXISTING), "default": EXISTING[0], "description": BACKFILL["existing"]},
            "history": {**history, "default": "all", "description": BACKFILL["history"]},
        }
    )


def _rule() -> Schema:
    """One of its kinds, told by the key that names it, so that errors speak of that kind alone."""
    kinds = [name for name in _CONDITIONS if name != "not_followed"]
    rest: Schema = {"required": ["not_followed_by"]}
    chosen: list[Schema] = []
    for name in kinds:
        then: Schema = ref_to(name)
        if name == "event":
            then = {"if": rest, "then": ref_to("not_followed"), "else": ref_to("event")}
        chosen.append({"if": {"required": [name]}, "then": then})
    keys: Schema = {key: True for name in _CONDITIONS for key in _CONDITIONS[name]}
    keys |= {kind: {"description": doc} for kind, doc in KINDS.items()}
    return {
        "type": "object",
        "description": "A rule, or one condition of it.",
        "oneOf": [{"required": [name]} for name in kinds],
        "properties": dict(sorted(keys.items())),
        "allOf": chosen,
    }


def _condition(name: str) -> Schema:
    properties = dict(_CONDITIONS[name])
    schema = object_of(properties, _REQUIRED.get(name, [name]))
    match name:
        case "event":
            schema["allOf"] = [at_most_one(AGGREGATES), *one_window(WINDOW_KEYS)]
        case "sequence":
            schema["allOf"] = one_window(OF_SEQUENCE.keys)
        case "not_followed":
            schema["allOf"] = one_window(OF_NOT_FOLLOWED.keys)
        case "score":
            schema["anyOf"] = [{"required": [key]} for key in SCORE_COMPARISONS]
        case "attribute":
            schema["minProperties"] = 2
    return schema


_STEP: Final = object_of(
    {**pattern_schema(refs=True), "within": ref_to("duration"), "as": ref_to("id")},
    ["event"],
)
_CONDITIONS: Final[Mapping[str, Schema]] = {
    "all": {"all": list_of(ref_to("rule"))},
    "any": {"any": list_of(ref_to("rule"))},
    "not": {"not": ref_to("rule")},
    "at_least": {"at_least": {"type": "integer", "minimum": 1}, "of": list_of(ref_to("rule"))},
    "score": {
        "score": list_of(
            object_of({"when": ref_to("rule"), "points": {"type": "number"}}, ["when", "points"])
        ),
        **comparisons_schema(SCORE_COMPARISONS, "number"),
    },
    "audience": {"audience": ref_to("id"), "for": ref_to("duration")},
    "event": {
        **pattern_schema(),
        **{name: aggregate_schema(kind) for name, kind in AGGREGATES.items()},
        **windows_schema(WINDOW_KEYS, entry=True),
    },
    "sequence": {
        "sequence": {"type": "array", "items": _STEP, "minItems": MIN_STEPS, "maxItems": MAX_STEPS},
        "without": object_of(pattern_schema(), ["event"]),
        "total": ref_to("duration"),
        **windows_schema(OF_SEQUENCE.keys, OF_SEQUENCE.entry),
    },
    "attribute": {
        "attribute": PATH,
        **{name: operand_schema(operator) for name, operator in ATTRIBUTE_OPERATORS.items()},
    },
    "not_followed": {
        **pattern_schema(),
        "not_followed_by": object_of(pattern_schema(refs=True), ["event"]),
        "for": ref_to("duration"),
        "still": {"type": "boolean", "default": False, "description": OF_FOLLOWED["still"]},
        **windows_schema(OF_NOT_FOLLOWED.keys, OF_NOT_FOLLOWED.entry),
    },
}
"""The keys of each kind of rule; a kind's name is the key that makes it one, but for the last."""

_REQUIRED: Final[Mapping[str, list[str]]] = {
    "at_least": ["at_least", "of"],
    "not_followed": ["event", "not_followed_by", "for"],
}
