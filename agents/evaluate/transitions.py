"""Transitions as they go out (docs/contracts.md, section 3): JSON body and CloudEvents headers.

The CloudEvents attributes follow version 1.0 in the Kafka protocol binding's binary mode.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from rules.state.row import Cause, Transition
from rules.time.instants import format_instant

Headers = list[tuple[str, bytes]]

PROPERTIES_HEADER = "trigger.properties"
"""Header of a transition that holds the properties of the event behind it (a JSON object), if any."""

_SPEC_VERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")
_ENTERED = ("ce_type", b"turnstile.audience.enter")
_EXITED = ("ce_type", b"turnstile.audience.exit")
_EVENT = ("ce_type", b"turnstile.audience.event")


Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""


class TriggerBody(msgspec.Struct, frozen=True):
    """The input record behind a transition."""

    event: Annotated[str | None, Meta(description="Name of the event; null: it was a profile update.")]
    id: Annotated[str | None, Meta(description="The record's `id`; null if it has none.")]
    time: Annotated[Instant, Meta(description="Event time, which may be earlier than `at`.")]


class TransitionBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record's value, field by field in this order. Nothing reads the descriptions while it runs.

    ``fields_of`` has all fields by name; a record leaves out those that have a default, where they have it.
    """

    id: Annotated[
        str,
        Meta(description="A function of project, audience, user and `seq`: the same whenever it is sent."),
    ]
    event: Annotated[
        str,
        Meta(
            description="`enter` or `exit`; `event` for a destination that gets events.",
            extra_json_schema={"enum": ["enter", "exit", "event"]},
        ),
    ]
    project: Annotated[str, Meta(description="Project of the audience and of the user.")]
    audience: Annotated[str, Meta(description="Id of the audience.")]
    audience_name: Annotated[str, Meta(description="Its name for people, which may change.")]
    audience_version: Annotated[int, Meta(description="Version of the definition that decided.")]
    user_id: Annotated[str, Meta(description="The user. Also the record's key.")]
    seq: Annotated[
        int,
        Meta(
            description="Number of the transition of this user and audience: 1, 2, 3 … without a gap. "
            "Odd is `enter`, even is `exit`.",
            extra_json_schema={"minimum": 1},
        ),
    ]
    at: Annotated[Instant, Meta(description="When it happened. Also the record timestamp.")]
    cause: Annotated[
        str,
        Meta(
            description="`event`, `profile` (a profile update), `time` (a window ran out), `definition` "
            "(the audience was changed or deleted), `delete` (the user was erased) or `backfill` (a new "
            "audience found who is in; in destinations also an existing member). The others are reserved.",
            extra_json_schema={"enum": list(get_args(Cause))},
        ),
    ]
    trigger: Annotated[
        TriggerBody | None, Meta(description="The record that caused it; null if time or a definition did.")
    ]
    entered_at: Annotated[
        Instant,
        Meta(
            description="When the stay began; of an enter it is `at`, or before it where a backfill found "
            "that out."
        ),
    ]
    exit_at: Annotated[
        Instant | None,
        Meta(
            description="On an enter, when the user will leave if nothing more happens; null: time alone "
            "never ends it. On an exit it is null."
        ),
    ]
    entered_at_is_bound: Annotated[
        bool,
        Meta(
            description="Only where it is true: the stay began at `entered_at` or before, or may have: the "
            "history that was computed is too short to know."
        ),
    ] = False
    destination: Annotated[
        str,
        Meta(
            description="Only of an `event`: the destination that gets it. `audience` is empty then, and "
            "`seq` counts the events of this user for this destination: 1, 2, 3 …"
        ),
    ] = ""
    filter: Annotated[
        str,
        Meta(
            description="Only of an `event`: the audience that let it through, which `entered_at` and "
            "`exit_at` are about. Destinations get it as `audience`."
        ),
    ] = ""
    properties: Annotated[
        dict[str, Any], Meta(description="Only of an `event`: its properties, if it has any.")
    ] = {}


_encode = msgspec.json.Encoder().encode


def transition_id(project: str, audience: str, user_id: str, seq: int, destination: str = "") -> str:
    """A function of these alone: 32 hex digits, the same however often it is sent. Of an event, whose
    ``destination`` counts, ``audience`` makes no difference."""
    counted = f"\0{destination}" if destination else audience
    name = f"{project}\0{counted}\0{seq}\0{user_id}"
    return blake2b(name.encode(), digest_size=16).hexdigest()


def transition_body(transition: Transition) -> TransitionBody:
    """The body of a transition, ready to encode."""
    trigger = transition.trigger
    at = format_instant(transition.at_ms)
    exit_at_ms, entered_at_ms = transition.exit_at_ms, transition.entered_at_ms
    # Positional: a call with fourteen names takes three times as long.
    return TransitionBody(
        transition_id(
            transition.project,
            transition.audience,
            transition.user_id,
            transition.seq,
            transition.destination,
        ),
        "event" if transition.destination else "enter" if transition.is_enter else "exit",
        transition.project,
        # Whoever keeps the members of audiences from this topic must not take an event for a change.
        "" if transition.destination else transition.audience,
        transition.audience_name,
        transition.audience_version,
        transition.user_id,
        transition.seq,
        at,
        transition.cause,
        TriggerBody(trigger.event, trigger.id, format_instant(trigger.time_ms)) if trigger else None,
        at if entered_at_ms == transition.at_ms else format_instant(entered_at_ms),
        None if exit_at_ms is None else format_instant(exit_at_ms),
        transition.entered_at_is_bound,
        transition.destination,
        transition.audience if transition.destination else "",
    )


def fields_of(body: TransitionBody) -> dict[str, Any]:
    """All fields of a transition by name, those of its trigger in a dictionary of their own."""
    return {
        "entered_at_is_bound": False,
        "destination": "",
        "filter": "",
        "properties": {},
        **msgspec.to_builtins(body),
    }


def encode_transition(transition: Transition) -> tuple[bytes, Headers]:
    """(value, headers) of the Kafka record."""
    body = transition_body(transition)
    headers = [
        _SPEC_VERSION,
        ("ce_id", body.id.encode()),
        _EVENT if transition.destination else _ENTERED if transition.is_enter else _EXITED,
        ("ce_source", b"/turnstile/" + body.project.encode()),
        ("ce_subject", body.user_id.encode()),
        ("ce_time", body.at.encode()),
        _CONTENT_TYPE,
    ]
    value = _encode(body)
    if transition.trigger is not None and transition.trigger.properties:
        if transition.destination:
            return b'%b,"properties":%b}' % (value[:-1], transition.trigger.properties), headers
        headers.append((PROPERTIES_HEADER, transition.trigger.properties))
    return value, headers
