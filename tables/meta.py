"""What a store remembers of its changelog: from which offset recovery has to read."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

MEMBER_INDEX = 1
"""What programs write that keep the index of members with the rows. Programs from before it leave the field
out when they write, so a store that they wrote is noticed and indexed anew."""


class StoreMeta(msgspec.Struct, array_like=True):
    """Written in the same write as the rows, so that the two can't disagree."""

    changelog_next: int
    """Offset of the first changelog record that is not in this store."""
    checkpoint: bytes
    """The latest checkpoint, as ``tables.codec.encode_checkpoint`` gives it."""
    changelog_id: bytes = b""
    """Id of the topic that the offset is one of; empty where the broker gives no ids."""
    member_index: int = 0
    """``MEMBER_INDEX``: the index of members goes with the rows; otherwise it is old or isn't there."""

    @property
    def is_indexed(self) -> bool:
        return self.member_index == MEMBER_INDEX

    def indexed(self) -> StoreMeta:
        """The same of a store whose index of members goes with its rows."""
        return replace(self, member_index=MEMBER_INDEX)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoreMeta).decode


def encode_meta(meta: StoreMeta) -> bytes:
    return _encode(meta)


def decode_meta(value: bytes) -> StoreMeta:
    return _decode(value)
