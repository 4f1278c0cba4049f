"""Claims of identities as they are written: the records of the topic ``<prefix>.identities``.

The key is a JSON list of project, namespace, value and user, so that compaction keeps the last claim of each
user and takes nobody else's. The value says when, and whether the user gave the identity up. A record without
a value forgets the claim.
"""

from __future__ import annotations

from typing import Final

import msgspec

from rules.state.identities import Claim
from rules.time.instants import InstantInvalid, format_instant, parse_instant

Identity = tuple[str, str, str]
"""(project, namespace, value)."""


class ClaimBody(msgspec.Struct, frozen=True):
    """The value of a record."""

    time: str
    """When it was claimed, RFC 3339: two users' claims of one identity are compared by this."""
    unset: bool = False
    """The user gave it up."""


class ClaimUnreadable(Exception):
    """A record that is no claim; the text says why."""


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
    return key, _encode(ClaimBody(format_instant(claim.time_ms), claim.unset))


def decode_key(key: bytes | None) -> tuple[Identity, str]:
    """The identity and the user of a record's key. Raises ClaimUnreadable."""
    try:
        project, namespace, value, user_id = _decode_key(key or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClaimUnreadable(f"the key is no list of project, namespace, value, user: {error}") from None
    return (project, namespace, value), user_id


def decode_claim(key: bytes | None, value: bytes) -> Claim:
    """Raises ClaimUnreadable."""
    (project, namespace, named), user_id = decode_key(key)
    try:
        body = _decode_body(value)
        time_ms = parse_instant(body.time)
    except (msgspec.MsgspecError, UnicodeDecodeError, InstantInvalid) as error:
        raise ClaimUnreadable(f"the value says no time: {error}") from None
    return Claim(project, namespace, named, user_id, time_ms, body.unset)
