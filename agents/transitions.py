"""Transitions as they go out (spec: contracts.md, section 3): JSON body and CloudEvents headers.

The CloudEvents attributes follow version 1.0 in the Kafka protocol binding's binary mode.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from rules.instants import format_instant
from rules.row import Transition

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = b"application/json"


class TriggerBody(msgspec.Struct, frozen=True):
    event: str | None
    id: str | None
    time: str


class TransitionBody(msgspec.Struct, frozen=True):
    """The record's value, field by field in this order."""

    id: str
    event: str
    project: str
    audience: str
    audience_name: str
    audience_version: int
    user_id: str
    seq: int
    at: str
    cause: str
    trigger: TriggerBody | None
    entered_at: str
    exit_at: str | None


_encode = msgspec.json.Encoder().encode


def transition_id(project: str, audience: str, user_id: str, seq: int) -> str:
    """A function of these four alone: 32 hex digits, the same however often it is sent."""
    name = f"{project}\0{audience}\0{seq}\0{user_id}"
    return blake2b(name.encode(), digest_size=16).hexdigest()


def transition_body(transition: Transition) -> TransitionBody:
    trigger = transition.trigger
    exit_at_ms = transition.exit_at_ms
    return TransitionBody(
        id=transition_id(transition.project, transition.audience, transition.user_id, transition.seq),
        event="enter" if transition.is_enter else "exit",
        project=transition.project,
        audience=transition.audience,
        audience_name=transition.audience_name,
        audience_version=transition.audience_version,
        user_id=transition.user_id,
        seq=transition.seq,
        at=format_instant(transition.at_ms),
        cause=transition.cause,
        trigger=None
        if trigger is None
        else TriggerBody(trigger.event, trigger.id, format_instant(trigger.time_ms)),
        entered_at=format_instant(transition.entered_at_ms),
        exit_at=None if exit_at_ms is None else format_instant(exit_at_ms),
    )


def encode_transition(transition: Transition) -> tuple[bytes, Headers]:
    """(value, headers) of the Kafka record."""
    body = transition_body(transition)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", body.id.encode()),
        ("ce_type", b"turnstile.audience.enter" if transition.is_enter else b"turnstile.audience.exit"),
        ("ce_source", b"/turnstile/" + body.project.encode()),
        ("ce_subject", body.user_id.encode()),
        ("ce_time", body.at.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    return _encode(body), headers
