"""Every reason for which a worker writes a dead letter: the codes of ``error.code``.

docs/contracts.md has them as a table, and AsyncAPI as values. A test holds them against the places in the
code that give codes, both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal["decode", "validate", "apply", "clock", "rekey", "output", "deliver"]


@dataclass(frozen=True, slots=True)
class Reason:
    """``record`` goes on after "The record …"; ``remedy`` is what a person does."""

    code: str
    stages: tuple[Stage, ...]
    record: str
    remedy: str


_MEND = "mend the producer"
_YEARS = "from year 1 to 9999"

OF_SOURCES: Final = (
    Reason("null_value", ("decode",), "has no value", "nothing: the producer writes tombstones. No replay"),
    Reason(
        "too_large", ("decode",), "is larger than `records.max_bytes`", "raise the setting, restart, replay"
    ),
    Reason("not_json", ("decode",), "is not JSON", f"{_MEND}; send the right record"),
    Reason("not_utf8", ("decode",), "is not UTF-8", f"{_MEND}; send the right record"),
    Reason("too_deep", ("decode", "validate"), "is nested deeper than 32 levels", "flatten it"),
    Reason(
        "timestamp", ("validate",), f"has a record timestamp that is no instant {_YEARS}", "mend the clock"
    ),
    Reason("invalid", ("validate",), "is JSON of another shape; the message says where", _MEND),
    Reason("empty_batch", ("validate",), "is a list without any record", _MEND),
    Reason("type", ("validate",), "has a `type` that its source format doesn't know", _MEND),
    Reason("cloudevents", ("decode", "validate"), "is no CloudEvent; the message says why", _MEND),
    Reason("content_type", ("decode",), "is a CloudEvent whose data is of a type that isn't read", _MEND),
    Reason(
        "each",
        ("validate",),
        "has no list in the place that `each` of the mapping names",
        "mend the producer or the mapping",
    ),
    Reason(
        "user_id", ("validate",), "has a user id that is empty, has NUL or more than 512 characters", _MEND
    ),
    Reason("project", ("validate",), "has a project that isn't 1 to 64 of `A-Z a-z 0-9 _`", _MEND),
    Reason(
        "event", ("validate",), "is an event whose name is missing or has more than 512 characters", _MEND
    ),
    Reason("id", ("validate",), "has an id of more than 512 characters", _MEND),
    Reason(
        "identities", ("validate",), "has an identity of more than 512 characters, or with no name", _MEND
    ),
    Reason("attribute", ("validate",), "has an attribute's name that isn't 1 to 512 characters", _MEND),
    Reason("empty_update", ("validate",), "is a profile update that changes nothing", _MEND),
    Reason(
        "time", ("validate",), f"has an event time that is no instant {_YEARS}", "mend the producer's format"
    ),
    Reason(
        "timestamp_ahead",
        ("clock",),
        "has a record timestamp further ahead of the wall clock than `clock.max_lead_ms`",
        "set the producer's or the worker's clock right, replay with `--now`",
    ),
    Reason(
        "attributes_too_large",
        ("apply",),
        "would let a user's attributes grow beyond `records.max_attributes_bytes`",
        "raise the setting, restart, replay; or send fewer attributes",
    ),
    Reason(
        "row_too_large",
        ("apply",),
        "would make its user's row larger than half of what the changelog takes",
        "raise `max.message.bytes` of the changelog, restart, replay",
    ),
)
"""On ``<source>.dlq``; of records on their way to their user's partition, on ``<prefix>.rekeyed.dlq``."""

OF_REPARTITION: Final = (
    Reason(
        "rekeyed_origin",
        ("rekey",),
        "lies on the repartition topic, but no worker wrote it",
        "find the program that writes to our topic",
    ),
)
"""On ``<prefix>.rekeyed.dlq`` alone."""

REPARTITION_REFUSED: Final = (
    Reason(
        "rekeyed_refused",
        ("rekey",),
        "belongs to another partition, and the repartition topic refuses it for its size",
        "raise `max.message.bytes` of `<prefix>.rekeyed`, replay",
    ),
)
"""On ``<source>.dlq``."""

OF_TRANSITIONS: Final = (
    Reason(
        "transition_refused",
        ("output",),
        "is a transition that its topic refuses for its size, even without the properties of its event",
        "raise `max.message.bytes` of `<prefix>.transitions`, replay",
    ),
)
"""On ``<prefix>.transitions.dlq``."""

OF_CLAIMS: Final = (
    Reason(
        "claim_refused",
        ("output",),
        "is a claim of an identity that its topic refuses for its size",
        "raise `max.message.bytes` of `<prefix>.identities`, replay",
    ),
)
"""On ``<prefix>.identities.dlq``."""
