"""Headers of records, for the contract. Values are bytes in Kafka: UTF-8 text, as these types say."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from tables.claims import ERASED_AT

Digits = Annotated[str, Meta(pattern="^-?[0-9]+$")]


class TransitionHeaders(msgspec.Struct):
    """CloudEvents 1.0 in the binary mode of its Kafka binding, and the properties of the event."""

    ce_specversion: Annotated[Literal["1.0"], Meta(description="Version of CloudEvents.")]
    ce_id: Annotated[str, Meta(description="`id` of the body.")]
    ce_type: Annotated[
        Literal["turnstile.audience.enter", "turnstile.audience.exit", "turnstile.audience.event"],
        Meta(description="`turnstile.audience.` and the `event` of the body."),
    ]
    ce_source: Annotated[str, Meta(description="`/turnstile/` and the project.")]
    ce_subject: Annotated[str, Meta(description="`user_id` of the body.")]
    ce_time: Annotated[str, Meta(description="`at` of the body.")]
    content_type: Annotated[Literal["application/json"], Meta(description="Of the body.")] = field(
        name="content-type"
    )
    properties: Annotated[
        str | UnsetType,
        Meta(
            description="The properties of the event behind it, as a JSON object of up to 4 KiB; left out if "
            "there are none, if they are larger, or if the topic refuses the record with them."
        ),
    ] = field(name="trigger.properties", default=UNSET)


class LetterHeaders(msgspec.Struct):
    """Headers that a dead letter has beside those of its record."""

    code: Annotated[str, Meta(description="Why, for programs: the table below.")] = field(name="error.code")
    source_topic: Annotated[str, Meta(description="Where the record was.")] = field(name="source.topic")
    source_partition: Annotated[Digits, Meta(description="Its partition.")] = field(name="source.partition")
    source_offset: Annotated[
        Digits, Meta(description="Its offset; -1 for a transition that never got one.")
    ] = field(name="source.offset")
    message: Annotated[str | UnsetType, Meta(description="Why, for people. At most 1,000 characters.")] = (
        field(name="error.message", default=UNSET)
    )
    stage: Annotated[
        str | UnsetType,
        Meta(description="Where it was refused: `decode validate apply clock rekey output deliver`."),
    ] = field(name="error.stage", default=UNSET)
    source_timestamp: Annotated[
        Digits | UnsetType, Meta(description="Its record timestamp (ms); -1 if it had none.")
    ] = field(name="source.timestamp", default=UNSET)
    value_bytes: Annotated[Digits | UnsetType, Meta(description="Size of a value that was left out.")] = (
        field(name="error.value_bytes", default=UNSET)
    )
    value_sha256: Annotated[str | UnsetType, Meta(description="SHA-256 of it, in hex digits.")] = field(
        name="error.value_sha256", default=UNSET
    )
    headers_bytes: Annotated[
        Digits | UnsetType, Meta(description="Size of the record's own headers that were left out.")
    ] = field(name="error.headers_bytes", default=UNSET)
    key_bytes: Annotated[Digits | UnsetType, Meta(description="Size of a key that was left out.")] = field(
        name="error.key_bytes", default=UNSET
    )
    key_sha256: Annotated[str | UnsetType, Meta(description="SHA-256 of it, in hex digits.")] = field(
        name="error.key_sha256", default=UNSET
    )


class UndeliveredHeaders(LetterHeaders):
    """Headers that the dead letter of a destination has beside those of its transition."""

    destination: Annotated[str | UnsetType, Meta(description="Name of the destination.")] = field(
        name="delivery.destination", default=UNSET
    )
    attempts: Annotated[Digits | UnsetType, Meta(description="How often it was sent.")] = field(
        name="delivery.attempts", default=UNSET
    )
    given_up_at: Annotated[str | UnsetType, Meta(description="When it was given up (RFC 3339).")] = field(
        name="delivery.at", default=UNSET
    )


class NoteHeaders(msgspec.Struct):
    """A note that a letter was sent again: a record without key and value on the letter's partition."""

    offset: Annotated[Digits, Meta(description="Offset of the letter.")] = field(name="replayed.offset")
    at: Annotated[str, Meta(description="When.")] = field(name="replayed.at")


class ForgottenHeaders(msgspec.Struct):
    """A record that forgets the claim with its key."""

    erased_at: Annotated[
        str | UnsetType,
        Meta(
            description="The user was erased at this instant: what was claimed after it stays. Without it "
            "every claim of the key is forgotten."
        ),
    ] = field(name=ERASED_AT, default=UNSET)


class DeliveredHeaders(msgspec.Struct):
    """Headers of what a Kafka destination gets."""

    ce_id: Annotated[str, Meta(description="Id of the message: tells repeats apart.")]
    content_type: Annotated[Literal["application/json"], Meta(description="Of the body.")] = field(
        name="content-type"
    )
