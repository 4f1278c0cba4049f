"""Claims of identities as they are written: the records of the topic ``<prefix>.identities``.

The key is a JSON list of project, namespace, value and user, so that compaction keeps the last claim of each
user and takes nobody else's. The value says when, and whether the user gave the identity up. A record without
a value forgets the claim; one with the header ``erased.at`` forgets what was claimed up to that instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from rules.state.identities import Claim
from rules.time.instants import MAX_MS, InstantInvalid, format_instant, parse_instant

Identity = tuple[str, str, str]
"""(project, namespace, value)."""


class ClaimBody(msgspec.Struct, frozen=True):
    """The value of a record."""

    time: Annotated[
        str,
        msgspec.Meta(
            description="When the record that claims it was applied. The newest claim of an identity holds.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    unset: Annotated[bool, msgspec.Meta(description="The user gave the identity up.")] = False


class ClaimUnreadable(Exception):
    """A record that is no claim; the text says why."""


class Standing(msgspec.Struct, array_like=True, frozen=True):
    """What a claim says of its user and its identity."""

    time_ms: int
    unset: bool


class Record(NamedTuple):
    """What counts of a record of the topic."""

    key: bytes | None
    value: bytes | None
    erased_ms: int = MAX_MS
    """Without a value: claims of up to this instant are forgotten."""


ERASED_AT: Final = "erased.at"
_encode: Final = msgspec.json.Encoder().encode
_decode_key: Final = msgspec.json.Decoder(tuple[str, str, str, str]).decode
_decode_body: Final = msgspec.json.Decoder(ClaimBody).decode


def identity_text(identity: Identity) -> str:
    """What an identity's partition is computed from: all claims of it are in one."""
    return _encode(identity).decode()


def identity_prefix(identity: Identity) -> bytes:
    """What the keys of all claims of an identity begin with, and of no other."""
    return _encode(identity)[:-1] + b","


def project_prefix(project: str) -> bytes:
    """What the keys of all claims of a project begin with."""
    return _encode((project,))[:-1] + b","


def claim_key(identity: Identity, user_id: str) -> bytes:
    """The key of a record: ``["default","email","a@b.c","u1"]``."""
    return _encode((*identity, user_id))


def encode_claim(claim: Claim) -> tuple[bytes, bytes]:
    """Key and value of the record."""
    key = claim_key((claim.project, claim.namespace, claim.value), claim.user_id)
    return key, encode_standing(Standing(claim.time_ms, claim.unset))


def encode_standing(standing: Standing) -> bytes:
    """The value of a record."""
    return _encode(ClaimBody(format_instant(standing.time_ms), standing.unset))


def erased_headers(erased_ms: int) -> list[tuple[str, bytes]]:
    """Of a record without a value that is about claims of up to this instant."""
    return [(ERASED_AT, format_instant(erased_ms).encode())]


def record_of(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Record:
    """What counts of a record as it lies in the topic."""
    if value is None:
        for name, said in headers:
            if name == ERASED_AT:
                try:
                    return Record(key, None, parse_instant(said.decode()))
                except (InstantInvalid, UnicodeDecodeError):
                    break  # of somebody else: it forgets everything
    return Record(key, value)


def decode_key(key: bytes | None) -> tuple[Identity, str]:
    """The identity and the user of a record's key. Raises ClaimUnreadable."""
    try:
        project, namespace, value, user_id = _decode_key(key or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClaimUnreadable(f"the key is no list of project, namespace, value, user: {error}") from None
    return (project, namespace, value), user_id


def decode_standing(value: bytes) -> Standing:
    """Of a record's value. Raises ClaimUnreadable."""
    try:
        body = _decode_body(value)
        time_ms = parse_instant(body.time)
    except (msgspec.MsgspecError, UnicodeDecodeError, InstantInvalid) as error:
        raise ClaimUnreadable(f"the value says no time: {error}") from None
    return Standing(time_ms, body.unset)
