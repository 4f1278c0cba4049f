"""What a partition needs of the store of its rows, and what it writes there at once.

A store keeps these in step: rows by key, the timer index (instant, row key), the index of members (audience
key, row key) with its size per audience, and one meta value. A ``Write`` goes in whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from tables.store_faults import StoreBroken

Timer = tuple[int, bytes]
"""(instant in ms, row key)."""

Member = tuple[int, bytes]
"""(audience key, row key): the row's user is in the audience."""


_audience_of = itemgetter(0)


@dataclass(slots=True)
class Write:
    """One atomic change. ``meta`` None leaves the meta value as it is. No key is in both ``rows`` and
    ``deleted``."""

    rows: Sequence[tuple[bytes, bytes]] = ()
    deleted: Sequence[bytes] = ()
    timers_added: list[Timer] = field(default_factory=list)
    timers_dropped: list[Timer] = field(default_factory=list)
    meta: bytes | None = None
    notes: Sequence[tuple[bytes, bytes | None]] = ()
    """By key, beside the rows (``tables.refused``); None removes one."""
    members_added: Sequence[Member] = ()
    """Entries that were not there."""
    members_dropped: Sequence[Member] = ()
    """Entries that were there."""

    def size_changes(self) -> Mapping[int, int]:
        """By audience key, how many members more there are (or fewer: below 0)."""
        changes = Counter(map(_audience_of, self.members_added))
        changes.subtract(map(_audience_of, self.members_dropped))
        return changes


class RowStore(Protocol):
    """What a partition needs of its store."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...

    def get_many_aside(self, keys: list[bytes]) -> list[bytes | None]:
        """The same in another thread than the one that closes the store. Raises StoreClosed."""
        ...

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` rows with a key above ``after``, in key order."""
        ...

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        """Up to ``limit`` entries of the timer index with ``from_ms <= instant < before_ms``, in order."""
        ...

    def members(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        """Up to ``limit`` row keys above ``after`` of members of the audience with this key, in key order."""
        ...

    def sizes(self) -> dict[int, int]:
        """By audience key, how many members there are; audiences without any are absent."""
        ...

    def clear_members(self) -> None:
        """Empty the index of members."""
        ...

    def meta(self) -> bytes | None: ...

    def notes(self) -> list[tuple[bytes, bytes]]:
        """All notes, in key order."""
        ...

    def write(self, change: Write) -> None: ...

    @property
    def is_unclean(self) -> bool:
        """Whether files may hold bytes of users who were erased and buried (``tables.erased``)."""
        ...

    def clean(self) -> bool:
        """Write the files again that may; in a thread of its own, because it takes long. False: the store was
        closed meanwhile. Raises StoreBroken, StoreUnusable."""
        ...

    def broken(self, text: str) -> StoreBroken:
        """The error to raise for content that can't be right; the store is not used again."""
        ...

    def close(self) -> None: ...


Entry = TypeVar("Entry", Timer, Member)


class _Moves(Generic[Entry]):
    """Entries of an index that several writes add and drop together."""

    def __init__(self) -> None:
        self.added: set[Entry] = set()
        self.dropped: set[Entry] = set()

    def then(self, dropped: Iterable[Entry], added: Iterable[Entry]) -> None:
        """A write drops entries, then adds some."""
        for entry in dropped:
            if entry in self.added:
                self.added.discard(entry)
            else:
                self.dropped.add(entry)
        for entry in added:
            if entry in self.dropped:
                self.dropped.discard(entry)
            else:
                self.added.add(entry)


def together(writes: Sequence[Write]) -> Write:
    """What several writes, one after the other, change together."""
    rows: dict[bytes, bytes] = {}
    deleted: dict[bytes, None] = {}
    timers: _Moves[Timer] = _Moves()
    members: _Moves[Member] = _Moves()
    notes: dict[bytes, bytes | None] = {}
    meta: bytes | None = None
    for write in writes:
        for key in write.deleted:
            rows.pop(key, None)
            deleted[key] = None
        rows.update(write.rows)
        timers.then(write.timers_dropped, write.timers_added)
        members.then(write.members_dropped, write.members_added)
        notes.update(write.notes)
        meta = write.meta or meta
    return Write(
        rows=sorted(rows.items()),  # in order of the keys: RocksDB takes them in a third less time
        deleted=[key for key in deleted if key not in rows],
        timers_added=sorted(timers.added),
        timers_dropped=sorted(timers.dropped),
        meta=meta,
        notes=list(notes.items()),
        members_added=sorted(members.added),
        members_dropped=sorted(members.dropped),
    )
