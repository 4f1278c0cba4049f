"""Notes of records that were refused because their timestamps were ahead of the wall clock.

What a wall clock said once can't be asked again, so the decision is kept: in the changelog, with a key of its
own per step and source partition, and in the store. It is kept for as long as the record can be read again:
until the source's log begins after it.

Key: two NULs, ``refused``, NUL, the source partition (``source_key``), the first offset of the note.
Value: a msgpack array of offsets, first and last of each run, ascending.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

PREFIX = b"\x00\x00refused\x00"
RUNS = 2_000
"""The most runs of one note: 36 kB."""

Note = tuple[bytes, bytes | None]
"""A record of the changelog and the store; None: the note is no longer needed."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


class Refused:
    """Refused offsets of the sources of one partition. ``notes``: what the store holds."""

    def __init__(self, notes: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._firsts: dict[int, array[int]] = {}
        self._lasts: dict[int, array[int]] = {}
        self._keys: dict[bytes, tuple[int, int]] = {}
        """Of each note: its source and its last offset."""
        self.unreadable: list[bytes] = []
        """Keys of notes that aren't ours."""
        for key, value in notes:
            try:
                runs = _decode(value)
            except msgspec.DecodeError:
                runs = []
            if not runs or len(runs) % 2:
                self.unreadable.append(key)
                continue
            source = int.from_bytes(key[len(PREFIX) : len(PREFIX) + 4], "big")
            self._keys[key] = source, runs[-1]
            for first, last in zip(runs[::2], runs[1::2], strict=True):
                self._insert(source, first, last)

    def any_of(self, source: int) -> bool:
        return source in self._firsts

    def holds(self, source: int, offset: int) -> bool:
        """Whether the record at this offset was refused."""
        firsts = self._firsts.get(source)
        if firsts is None:
            return False
        at = bisect_right(firsts, offset) - 1
        return at >= 0 and offset <= self._lasts[source][at]

    def add(self, source: int, offsets: Iterable[int]) -> Iterator[Note]:
        """Remember offsets, ascending and not held before; the notes to keep of them."""
        runs: list[int] = []
        for offset in offsets:
            if runs and offset == runs[-1] + 1:
                runs[-1] = offset
            else:
                runs += (offset, offset)
        for start in range(0, len(runs), 2 * RUNS):
            part = runs[start : start + 2 * RUNS]
            for first, last in zip(part[::2], part[1::2], strict=True):
                self._insert(source, first, last)
            key = _key(source, part[0])
            self._keys[key] = source, part[-1]
            yield key, _encode(part)

    def forget(self, source: int, log_start: int) -> Iterator[Note]:
        """Notes that end before the log begins are no longer needed."""
        for key in [key for key, (of, last) in self._keys.items() if of == source and last < log_start]:
            del self._keys[key]
            yield key, None
        lasts = self._lasts.get(source)
        if lasts is None:
            return
        gone = bisect_right(lasts, log_start - 1)
        del lasts[:gone], self._firsts[source][:gone]
        if not lasts:
            del self._lasts[source], self._firsts[source]

    def _insert(self, source: int, first: int, last: int) -> None:
        firsts = self._firsts.setdefault(source, array("q"))
        at = bisect_right(firsts, first)
        firsts.insert(at, first)
        self._lasts.setdefault(source, array("q")).insert(at, last)


def _key(source: int, offset: int) -> bytes:
    return PREFIX + source.to_bytes(4, "big") + offset.to_bytes(8, "big")
