"""What a store remembers of its changelog: from which offset recovery has to read."""

from __future__ import annotations

import msgspec


class StoreMeta(msgspec.Struct, array_like=True):
    """Written in the same write as the rows, so that the two can't disagree."""

    changelog_next: int
    """Offset of the first changelog record that is not in this store."""
    checkpoint: bytes
    """The latest checkpoint, as ``tables.codec.encode_checkpoint`` gives it."""
    changelog_id: bytes = b""
    """Id of the topic that the offset is one of; empty where the broker gives no ids."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoreMeta).decode


def encode_meta(meta: StoreMeta) -> bytes:
    return _encode(meta)


def decode_meta(value: bytes) -> StoreMeta:
    return _decode(value)
