"""What records of a changelog look like: their keys, their headers, and the chunks of what is too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

OUTBOX_HEADER = "outbox"
CHUNKS_HEADER = "outbox.chunks"
LETTERS_HEADER = "refused"
_INTERNAL = b"\x00\x00"
SLOT = b"\x00\x00outbox\x00"
RECORD_BYTES = 256
"""What a record has beside key, value and headers' values: lengths, names, and the head of a produce batch
that holds nothing else (61 bytes in format 2)."""

CHUNK_BYTES = 32
"""What a chunk has beside its content: its key and its step."""

Headers = Sequence[tuple[str, bytes]]

Written = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers of a record to write."""


class ChangelogBroken(Exception):
    """A row names a chunk of its outbox that is not there: records were removed otherwise than by us."""


class Logged(Protocol):
    """A changelog record as the consumer gives it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Chunks(msgspec.Struct, array_like=True):
    """The header of a row whose outbox is in chunks: their slots, in order."""

    step: int
    slots: list[int]


class Chunk(msgspec.Struct, array_like=True):
    step: int
    content: bytes
    """A part of what ``encode_outbox`` gives."""


def is_row(key: bytes) -> bool:
    """Whether a changelog record with this key is a user's row (without a value: a deleted one)."""
    return not key.startswith(_INTERNAL)


def largest_row_bytes(record_bytes: int) -> int:
    """How many bytes of key and row surely fit into a changelog that takes records of ``record_bytes``.

    The last quarter is for the names of the outbox's chunks; that is room for those of gigabytes.
    """
    return record_bytes * 3 // 4 - RECORD_BYTES


def slot_key(slot: int) -> bytes:
    """Key of the records with the chunks of a slot."""
    return SLOT + slot.to_bytes(4, "big")
