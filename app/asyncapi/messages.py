"""The messages of the contract: what lies on each kind of topic, with keys, headers and bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from agents.evaluate.transitions import TransitionBody
from agents.formats.cloudevents import NATIVE
from agents.formats.registry import NAMES
from agents.registry.audit import AuditRecord
from app.asyncapi.bodies import LyticsBody, SegmentBody
from app.asyncapi.headers import (
    DeliveredHeaders,
    ForgottenHeaders,
    LetterHeaders,
    NoteHeaders,
    TransitionHeaders,
    UndeliveredHeaders,
)
from app.asyncapi.inputs import Delete, Profile, Track
from tables.claims import ClaimBody

BINDING: Final = "0.5.0"
"""Version of AsyncAPI's bindings for Kafka."""
JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
USER_KEY: Final = {"type": "string", "description": "The user id, as UTF-8 and nothing else (no quotes)."}
PROJECT_KEY: Final = {"type": "string", "description": "The project; `*` for all of them."}
CLAIM_KEY: Final = {
    "type": "string",
    "description": "JSON list of project, namespace, value and user id, without spaces: "
    '`["default","email","ada@example.com","ada"]`.',
}
SENT_KEY: Final = {
    "type": "string",
    "description": "The id of the destination's `id_type`; with `membership: true` on a topic that audiences "
    "share, `audience/id`.",
}
_AS_IT_CAME: Final = {"description": "The bytes of the record, untouched; none if they were too large."}


@dataclass(frozen=True, slots=True)
class Message:
    """``payload`` is a type, a schema, or the types of which a list has some."""

    title: str
    summary: str
    payload: Any
    headers: type | None = None
    key: Mapping[str, Any] | None = None
    content_type: str = JSON
    reasons: Sequence[Reason] = ()


def _letter(title: str, summary: str, reasons: Sequence[Reason], headers: type = LetterHeaders) -> Message:
    key = {"description": "Of the record, untouched."}
    return Message(title, summary, _AS_IT_CAME, headers, key, BYTES, reasons)


_ANY: Final = {"description": "Any JSON: docs/source-formats.md."}
NATIVES: Final = ("track", "profile", "delete", "batch")
"""The messages of a source in the native format."""


def record_message(source_format: str) -> str:
    """The message of a source in another format."""
    return f"{source_format}Record"


_BODIES: Final[Mapping[str, tuple[str, str, type]]] = {
    "native": ("Delivered transition", "A transition as it is on its topic", TransitionBody),
    "segment": ("Segment call", "A transition as a call of Segment", SegmentBody),
    "lytics": ("Lytics message", "Transitions of one user at one instant, as Lytics sends them", LyticsBody),
}
DELIVERED: Final = tuple(_BODIES)
"""The messages that destinations may get: the values of ``body`` in their definitions."""

MESSAGES: Final[Mapping[str, Message]] = {
    "track": Message("Event", "An event in the native format", Track, key=USER_KEY),
    "profile": Message("Profile update", "A profile update in the native format", Profile, key=USER_KEY),
    "delete": Message("Erasure", "Erases a user, in the native format", Delete, key=USER_KEY),
    "batch": Message(
        "Records",
        "Several records in the native format; each is good or bad by itself",
        [Track, Profile, Delete],
        key=USER_KEY,
    ),
    **{
        record_message(name): Message(
            f"Record in the format {name}", "docs/source-formats.md says how it is read", _ANY
        )
        for name in NAMES
        if name != NATIVE
    },
    "transition": Message(
        "Transition",
        "A user enters or leaves an audience. At least once, with the same id and body",
        TransitionBody,
        TransitionHeaders,
        USER_KEY,
    ),
    "claim": Message(
        "Claim",
        "A user says that an identity is the user's, or no longer. At least once",
        ClaimBody,
        key=CLAIM_KEY,
    ),
    "forgotten": Message(
        "Forgotten claim",
        "The claim with this key doesn't count any more",
        {"description": "None."},
        ForgottenHeaders,
        CLAIM_KEY,
        BYTES,
    ),
    "change": Message("Change", "Who changed what and when", AuditRecord, key=PROJECT_KEY),
    "deadLetter": _letter(
        "Dead letter", "A record that can't be used, and why", (*OF_SOURCES, *REPARTITION_REFUSED)
    ),
    "repartitionDeadLetter": _letter(
        "Dead letter of the repartition topic",
        "A record on the way to its user's partition that can't be used, and why",
        (*OF_SOURCES, *OF_REPARTITION),
    ),
    "refusedTransition": _letter("Refused transition", "A transition that its topic refused", OF_TRANSITIONS),
    "refusedClaim": _letter("Refused claim", "A claim that its topic refused", OF_CLAIMS),
    "undelivered": _letter(
        "Undelivered transition",
        "A transition that a destination will never take, and why",
        OF_DESTINATIONS,
        UndeliveredHeaders,
    ),
    "replayNote": Message(
        "Replay note",
        "Says that a letter of this partition was sent again",
        {"description": "Empty."},
        NoteHeaders,
        {"description": "None."},
        BYTES,
    ),
    **{
        name: Message(title, summary, body, DeliveredHeaders, SENT_KEY)
        for name, (title, summary, body) in _BODIES.items()
    },
}


def described(messages: Mapping[str, Message]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The messages as AsyncAPI has them, and the schemas that they refer to."""
    types = list(dict.fromkeys(each for message in messages.values() for each in _types(message)))
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=anything, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(types, schemas, strict=True))
    return {name: _described(name, each, schema_of) for name, each in messages.items()}, components


def _types(message: Message) -> list[type]:
    payloads = message.payload if isinstance(message.payload, list) else [message.payload]
    return [each for each in (*payloads, message.headers) if isinstance(each, type)]


def anything(kind: type) -> dict[str, Any]:
    """The schema of ``object``, as which we type what others wrote."""
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any JSON"}


def _described(name: str, message: Message, schema_of: Mapping[type, Any]) -> dict[str, Any]:
    payload = message.payload
    if isinstance(payload, list):
        payload = {"type": "array", "minItems": 1, "items": {"anyOf": [schema_of[each] for each in payload]}}
    elif isinstance(payload, type):
        payload = schema_of[payload]
    kafka: dict[str, Any] = {"bindingVersion": BINDING}
    if message.key is not None:
        kafka["key"] = message.key
    found: dict[str, Any] = {
        "name": name,
        "title": message.title,
        "summary": message.summary,
        "contentType": message.content_type,
        "payload": payload,
        "bindings": {"kafka": kafka},
    }
    if message.headers is not None:
        found["headers"] = _headers(schema_of[message.headers], message.reasons)
    return found


def _headers(schema: Any, reasons: Sequence[Reason]) -> Any:
    """With the codes that there are, where there are any."""
    if not reasons:
        return schema
    codes = [_code_schema(each) for each in reasons]
    return {"allOf": [schema, {"type": "object", "properties": {"error.code": {"oneOf": codes}}}]}


def _code_schema(reason: Reason) -> dict[str, Any]:
    start, has_status, _ = reason.code.partition("<status>")
    value = {"type": "string", "pattern": f"^{start}[0-9]{{3}}$"} if has_status else {"const": reason.code}
    return {**value, "description": f"The record {reason.record}. What to do: {reason.remedy}."}
