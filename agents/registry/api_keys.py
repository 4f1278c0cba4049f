"""API keys as they lie on their compacted topic (``<prefix>.keys``, key: the name).

Value: ``{"sha256", "scopes", "projects", "created_ms", "expires_ms"?, "revoked"?, "rotated"?}``. Nobody but
its holder knows the key itself. A revoked one stays, so that the topic still says that keys are asked for.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Scope = Literal["lookup", "audiences", "destinations", "admin"]
"""What a key is good for: membership; definitions of audiences; destinations; all of it."""
EVERY_PROJECT = "*"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class RotatedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that another one took the place of, and that is good for a while yet."""

    sha256: Sha256
    expires_ms: int


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The value of a record on the topic.

    Fields and scopes that this program doesn't know might mean less than it would allow: such a record is
    unusable.
    """

    sha256: Sha256
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    projects: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    """``*`` for all."""
    created_ms: int
    expires_ms: int | None = None
    revoked: bool = False
    rotated: tuple[RotatedKey, ...] = ()
    """Keys before it under this name, each until its own instant or that of the key, whichever is first."""

    def rotate(self, sha256: str, now_ms: int, keep_ms: int) -> KeyRecord:
        """With another key in its place; the one before is good for ``keep_ms`` more. 0: no earlier one."""
        kept = (*self.rotated, RotatedKey(self.sha256, now_ms + keep_ms)) if keep_ms else ()
        still_good = tuple(each for each in kept if each.expires_ms > now_ms)
        return msgspec.structs.replace(self, sha256=sha256, created_ms=now_ms, rotated=still_good)


decode_key = msgspec.json.Decoder(KeyRecord).decode
"""Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
_encode = msgspec.json.Encoder().encode


def keys_topic(prefix: str) -> str:
    return f"{prefix}.keys"


def encode_key(key: KeyRecord) -> bytes:
    return _encode(key)
