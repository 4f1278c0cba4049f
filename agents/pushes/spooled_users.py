"""Who is in a list that lies on the disk, so that an erasure of somebody else doesn't make another one.

A file beside the rows has the users' ids, page by page, as frames: 4 bytes of length, then an array of
msgpack. Erased users are known by pseudonyms alone, which are made of the ids only when somebody was erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tables.codec import row_key
from tables.erased import pseudonym

NAME: Final = "users"
_LENGTH_BYTES: Final = 4
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


def users_page(users: Sequence[str]) -> bytes:
    """A frame with these ids."""
    page = _encode(users)
    return len(page).to_bytes(_LENGTH_BYTES, "big") + page


def has_any(path: Path, project: str, erased: Collection[bytes]) -> bool:
    """Whether one of the users has one of these pseudonyms. A file that can't be read has somebody."""
    try:
        with path.open("rb") as file:
            return any(pseudonym(row_key(project, user)) in erased for user in _users(file))
    except (OSError, msgspec.MsgspecError):
        return True


def _users(file: BinaryIO) -> Iterator[str]:
    while length := file.read(_LENGTH_BYTES):
        yield from _decode(file.read(int.from_bytes(length, "big")))
