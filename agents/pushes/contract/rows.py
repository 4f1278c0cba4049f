"""From members to the rows of a push, and how rows lie in a spool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

from agents.pushes.contract.member import Member

FRAME_BYTES: Final = 8
"""Before each record: the lengths of its key and its value, 4 bytes each, big-endian."""
READ_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Made:
    """The rows of some members, in the order of the members.

    ``data`` is what goes into the spool as it is: lines of a file one after another, or frames (``frame``).
    Users who don't have an id of some type are counted in ``without``; a value that can't be written
    (``RowRefused``) is counted in ``refused`` by its reason.
    """

    data: bytes = b""
    rows: int = 0
    by_id: Mapping[str, int] = field(default_factory=dict)
    """Rows by type of id; their sum is ``rows``."""
    without: Mapping[str, int] = field(default_factory=dict)
    """Members without an id, by its type."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """By reason, which holds no id."""


class RowMaker(Protocol):
    """Makes the rows of one push. The same members give the same bytes, in whichever process."""

    @property
    def is_framed(self) -> bool:
        """Whether ``data`` is frames; otherwise it is text that a file is made of as it is."""
        ...

    @property
    def header(self) -> bytes:
        """What stands before the first row of a file; empty: nothing."""
        ...

    def make(self, members: Sequence[Member]) -> Made:
        """A row for each id that a member has, each id once. Called from any thread, by one at a time."""
        ...


def frame(key: bytes, value: bytes) -> bytes:
    """A record as it lies in a spool."""
    return len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big") + key + value


def read_frames(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the records in a spool, in order."""
    rest, at = b"", 0
    while chunk := file.read(READ_BYTES):
        rest, at = rest[at:] + chunk, 0
        while at + FRAME_BYTES <= len(rest):
            begin = at + FRAME_BYTES
            value_at = begin + int.from_bytes(rest[at : at + 4], "big")
            end = value_at + int.from_bytes(rest[at + 4 : begin], "big")
            if end > len(rest):
                break
            yield rest[begin:value_at], rest[value_at:end]
            at = end
