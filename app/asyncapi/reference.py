"""The tables of docs/contracts.md, made from what AsyncAPI is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from agents.deliver.engine.dead_letter_reasons import OF_DESTINATIONS
from agents.evaluate.dead_letter_reasons import (
    OF_CLAIMS,
    OF_REPARTITION,
    OF_SOURCES,
    OF_TRANSITIONS,
    REPARTITION_REFUSED,
    Reason,
)
from agents.evaluate.transitions import TransitionBody, TriggerBody
from agents.registry.audit import AuditRecord
from app.asyncapi.headers import (
    DeliveredHeaders,
    ForgottenHeaders,
    LetterHeaders,
    TransitionHeaders,
    UndeliveredHeaders,
)
from app.asyncapi.inputs import Delete, Profile, Track
from app.asyncapi.messages import anything
from tables.claims import ClaimBody

_NAMES: Final = {"string": "text", "integer": "whole number", "object": "object", "boolean": "boolean"}


def _fields(kind: type[msgspec.Struct], without: type[msgspec.Struct] | None = None) -> str:
    """Name, type, whether it must be there, meaning; not those that ``without`` has, too."""
    (schema,), components = msgspec.json.schema_components([kind], schema_hook=anything)
    found = components[schema["$ref"].rpartition("/")[2]]
    left_out = set() if without is None else set(without.__struct_encode_fields__)
    always = set(found.get("required", ()))
    rows = [
        f"| `{name}` | {_type(each)}{', optional' * (name not in always)} | {each.get('description', '')} |"
        for name, each in found["properties"].items()
        if name not in left_out
    ]
    return "\n".join(["| name | type | meaning |", "|---|---|---|", *rows])


def _type(schema: Mapping[str, Any]) -> str:
    """For people: ``text or null``."""
    if "anyOf" in schema:
        names = dict.fromkeys(_type(each) for each in schema["anyOf"])
        if {"number", "whole number"} <= set(names):
            del names["whole number"]
        return " or ".join(names)
    if "$ref" in schema:
        return "object"
    if "const" in schema or "enum" in schema:
        return "text"
    if schema.get("format") == "date-time":
        return "instant"
    kind = schema.get("type")
    if kind == "array":
        return "list"
    return _NAMES.get(str(kind), str(kind))


def _reasons(reasons: Sequence[Reason]) -> str:
    rows = [
        f"| `{each.code}` | {', '.join(each.stages)} | {each.record} | {each.remedy} |" for each in reasons
    ]
    return "\n".join(["| code | stage | the record | what to do |", "|---|---|---|---|", *rows])


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "track": partial(_fields, Track),
    "profile": partial(_fields, Profile),
    "delete": partial(_fields, Delete),
    "transition": partial(_fields, TransitionBody),
    "trigger": partial(_fields, TriggerBody),
    "transition_headers": partial(_fields, TransitionHeaders),
    "claim": partial(_fields, ClaimBody),
    "forgotten_headers": partial(_fields, ForgottenHeaders),
    "audit": partial(_fields, AuditRecord),
    "letter_headers": partial(_fields, LetterHeaders),
    "undelivered_headers": partial(_fields, UndeliveredHeaders, LetterHeaders),
    "delivered_headers": partial(_fields, DeliveredHeaders),
    "reasons_of_sources": partial(_reasons, (*OF_SOURCES, *REPARTITION_REFUSED)),
    "reasons_of_repartition": partial(_reasons, OF_REPARTITION),
    "reasons_of_transitions": partial(_reasons, OF_TRANSITIONS),
    "reasons_of_claims": partial(_reasons, OF_CLAIMS),
    "reasons_of_destinations": partial(_reasons, OF_DESTINATIONS),
}
