"""API keys as they lie on their compacted topic (``<prefix>.keys``, key: the name).

Value: ``{"sha256", "scopes", "projects", "created_ms", "expires_ms"?, "revoked"?}``. Nobody but its holder
knows the key itself. A revoked one stays, so that the topic still says that keys are asked for.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Scope = Literal["lookup", "audiences", "destinations", "admin"]
"""What a key is good for: membership; definitions of audiences; destinations; all of it."""
EVERY_PROJECT = "*"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The value of a record on the topic.

    Fields and scopes that this program doesn't know might mean less than it would allow: such a record is
    unusable.
    """

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    projects: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    """``*`` for all."""
    created_ms: int
    expires_ms: int | None = None
    revoked: bool = False


decode_key = msgspec.json.Decoder(KeyRecord).decode
"""Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
_encode = msgspec.json.Encoder().encode


def keys_topic(prefix: str) -> str:
    return f"{prefix}.keys"


def encode_key(key: KeyRecord) -> bytes:
    return _encode(key)
