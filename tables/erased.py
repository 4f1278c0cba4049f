"""What a partition keeps of users who were erased, under names that don't say who they were.

Two kinds of notes lie in the changelog and in the store (like ``tables.refused``):

- two NULs, ``erased``, NUL, the pseudonym of a row key: an ``Erased``, kept for ever. The row of a user who
  comes back begins with it;
- two NULs, ``unburied``, NUL, a row key: the row is a stub that is still under its own key, because the exits
  in its outbox name the user. When they are in Kafka it is buried: both records go.

A pseudonym is a BLAKE2b of the row key: it can't be turned back, but who guesses an id can check the guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from rules.decide.erase import stub
from rules.state.row import Membership, Row

ERASED: Final = b"\x00\x00erased\x00"
UNBURIED: Final = b"\x00\x00unburied\x00"
_YES: Final = b"\x01"
MOST_REQUESTS: Final = 16
"""Of one user, so many are remembered."""


class Erased(msgspec.Struct, array_like=True):
    """A user who was erased, at the partition's clock ``at_ms``."""

    at_ms: int
    audiences: dict[int, Membership]
    """By audience key, the last ``seq``; the user is in none."""
    applied: dict[int, int]
    """Per source partition (``tables.codec.source_key``) the last offset that doesn't count any more."""
    requests: list[str]
    """Ids of the records that asked for it, the latest last."""
    project: str
    taken: tuple[int, int]
    """Source partition and offset of the record, as the partition's positions count."""
    earlier: bytes = b""
    """The note that the step of this one found, without its own earlier one; empty: there was none."""
    asked_ms: int = 0
    """The timestamp of the record; 0: an older program noted it."""

    @property
    def row(self) -> Row:
        """The row that the user's next record finds."""
        memberships = {key: Membership(each.seq, 0, each.version) for key, each in self.audiences.items()}
        return stub(self.at_ms, memberships, self.applied)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Erased).decode


def pseudonym(key: bytes) -> bytes:
    """16 bytes in place of a row key."""
    return blake2b(key, digest_size=16, person=b"turnstile.erase").digest()


def erased_notes(key: bytes, erased: Erased) -> list[tuple[bytes, bytes | None]]:
    """The notes of an erasure; the row with this key is a stub, and unburied."""
    return [(ERASED + pseudonym(key), _encode(erased)), (UNBURIED + key, _YES)]


class ErasedUsers:
    """Those of one partition, in memory: some 200 bytes each. ``notes``: what the store holds."""

    def __init__(self, notes: Mapping[bytes, bytes] | None = None) -> None:
        self._by_name: dict[bytes, bytes] = {}
        """The note of each, encoded."""
        self.unburied: dict[bytes, int] = {}
        """Keys of rows that are to be buried, each with the step that made it a stub; 0: an earlier life."""
        for key, value in (notes or {}).items():
            if key.startswith(ERASED):
                self._by_name[key[len(ERASED) :]] = value
            elif key.startswith(UNBURIED):
                self.unburied[key[len(UNBURIED) :]] = 0

    def recover(self, positions: Mapping[int, int], rows: Mapping[bytes, object]) -> None:
        """Forget what a step noted that wasn't written to its end, where the row isn't among these ``rows``.

        Its records come again, and must find what they found. ``rows``: those of the unburied that the store
        has; ``positions``: last offsets taken, by source.
        """
        for key in [key for key in self.unburied if rows.get(key) is None]:
            erased = self.of(key)
            if erased is not None and _is_open(erased, positions):
                del self.unburied[key]
                if erased.earlier:
                    self._by_name[pseudonym(key)] = erased.earlier
                else:
                    del self._by_name[pseudonym(key)]

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def of(self, key: bytes) -> Erased | None:
        """The last erasure of the user with this row key; None: there was none."""
        note = self._by_name.get(pseudonym(key)) if self._by_name else None
        return None if note is None else _decode(note)

    def note_of(self, key: bytes) -> bytes:
        """The note of ``of`` for ``Erased.earlier``."""
        erased = self.of(key)
        return b"" if erased is None else _encode(replace(erased, earlier=b""))

    def of_name(self, name: bytes) -> Erased | None:
        """The last erasure of the user with this pseudonym, once the row is buried; None otherwise."""
        if name not in self._by_name or name in map(pseudonym, self.unburied):
            return None
        return _decode(self._by_name[name])

    def names(self) -> Iterable[bytes]:
        """The pseudonyms of all."""
        return self._by_name.keys()

    def add(self, notes: Iterable[tuple[bytes, bytes | None]], step: int) -> None:
        """A step has these notes."""
        for key, value in notes:
            if key.startswith(ERASED) and value is not None:
                self._by_name[key[len(ERASED) :]] = value
            elif key.startswith(UNBURIED):
                if value is None:
                    self.unburied.pop(key[len(UNBURIED) :], None)
                else:
                    self.unburied[key[len(UNBURIED) :]] = step


def _is_open(erased: Erased, positions: Mapping[int, int]) -> bool:
    source, offset = erased.taken
    return positions.get(source, -1) < offset


def buried_notes(keys: Iterable[bytes]) -> list[tuple[bytes, bytes | None]]:
    """The notes that bury rows."""
    return [(UNBURIED + key, None) for key in keys]


def buried_in(notes: Iterable[tuple[bytes, bytes | None]]) -> list[bytes]:
    """The keys of the rows that these notes bury."""
    return [key[len(UNBURIED) :] for key, value in notes if value is None and key.startswith(UNBURIED)]


def is_erasure_note(key: bytes) -> bool:
    """Whether a note is one of those here."""
    return key.startswith((ERASED, UNBURIED))
