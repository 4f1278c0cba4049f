"""Transitions as they go out (docs/contracts.md, section 3): JSON body and CloudEvents headers.

The CloudEvents attributes follow version 1.0 in the Kafka protocol binding's binary mode.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from rules.state.row import Transition
from rules.time.instants import format_instant

Headers = list[tuple[str, bytes]]

PROPERTIES_HEADER = "trigger.properties"
"""Header of a transition that holds the properties of the event behind it (a JSON object), if any."""

_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_ENTERED = ("ce_type", b"turnstile.audience.enter")
_EXITED = ("ce_type", b"turnstile.audience.exit")


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
    """The body of a transition, ready to encode."""
    trigger = transition.trigger
    at = format_instant(transition.at_ms)
    is_enter, exit_at_ms = transition.is_enter, transition.exit_at_ms
    # Positional: a call with thirteen names takes three times as long.
    return TransitionBody(
        transition_id(transition.project, transition.audience, transition.user_id, transition.seq),
        "enter" if is_enter else "exit",
        transition.project,
        transition.audience,
        transition.audience_name,
        transition.audience_version,
        transition.user_id,
        transition.seq,
        at,
        transition.cause,
        TriggerBody(trigger.event, trigger.id, format_instant(trigger.time_ms)) if trigger else None,
        at if is_enter else format_instant(transition.entered_at_ms),
        None if exit_at_ms is None else format_instant(exit_at_ms),
    )


def encode_transition(transition: Transition) -> tuple[bytes, Headers]:
    """(value, headers) of the Kafka record."""
    body = transition_body(transition)
    headers = [
        _SPEC_VERSION,
        ("ce_id", body.id.encode()),
        _ENTERED if transition.is_enter else _EXITED,
        ("ce_source", b"/turnstile/" + body.project.encode()),
        ("ce_subject", body.user_id.encode()),
        ("ce_time", body.at.encode()),
        _CONTENT_TYPE,
    ]
    if transition.trigger is not None and transition.trigger.properties:
        headers.append((PROPERTIES_HEADER, transition.trigger.properties))
    return _encode(body), headers
