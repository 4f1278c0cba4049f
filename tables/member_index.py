"""The index of members of one partition: who is in which audience, stored and not yet stored.

A row has one entry for each audience that its user is in. Entries go to the store with their rows, so they
say what the rows say, at every moment. What steps changed since the last write is kept here, and a page puts
both together.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import merge, nsmallest
from itertools import islice

from rules.state.row import Membership, Row
from tables.codec import decode_head
from tables.meta import StoreMeta, encode_meta
from tables.row_store import Member, RowStore, Write

ROWS = 2_000
"""Read from the store at a time."""


def audiences_in(memberships: Mapping[int, Membership]) -> tuple[int, ...]:
    """The keys of the audiences that a user is in."""
    return tuple([key for key, each in memberships.items() if each.seq & 1])


def moved(
    key: bytes, before: Sequence[int], after: Sequence[int], added: list[Member], dropped: list[Member]
) -> None:
    """Append the entries that a row gets and loses. ``before`` and ``after``: the audiences it is in."""
    if before == after:
        return
    added += [(audience, key) for audience in after if audience not in before]
    dropped += [(audience, key) for audience in before if audience not in after]


def encoded_in(value: bytes | None) -> tuple[int, ...]:
    """The keys of the audiences that the user of an encoded row is in. Raises RowUnreadable."""
    return () if value is None else audiences_in(decode_head(value).audiences)


class MemberIndex:
    """Entries of the store, with the changes of stages that are not stored. Stages are numbered from 1."""

    def __init__(self, store: RowStore) -> None:
        self._store = store
        self._sizes = store.sizes()
        self._unstored: dict[int, dict[bytes, tuple[int, bool]]] = {}
        """Per audience and row key, the last unstored stage that changed the entry, and whether it is there
        then."""

        self._inside: dict[bytes, tuple[int, ...]] = {}
        """Of rows in memory, the audiences (keys) that they were in when they were last staged; if any."""
        self._new: list[bytes] = []
        """Keys of rows that are new since the last stage and came with memberships."""

    @property
    def sizes(self) -> Mapping[int, int]:
        """By audience key, how many members there are after the last stage; 0 or absent: none."""
        return self._sizes

    # -- rows in memory ------------------------------------------------------------------------------

    def read(self, keys: Iterable[bytes], rows: Mapping[bytes, Row]) -> None:
        """Rows come into memory as they were last staged; there may be none with some of the keys."""
        for key in keys:
            row = rows.get(key)
            if row is not None and row.audiences:
                self._inside[key] = audiences_in(row.audiences)

    def add(self, key: bytes, row: Row) -> None:
        """A user's first row comes into memory."""
        if row.audiences:
            self._new.append(key)

    def keep(self, rows: Container[bytes]) -> None:
        """Rows with other keys than these are no longer in memory."""
        self._inside = {key: inside for key, inside in self._inside.items() if key in rows}

    # -- changes -------------------------------------------------------------------------------------

    def stage(
        self, number: int, rows: Mapping[bytes, Row], changed: Container[bytes], turned: Iterable[bytes]
    ) -> tuple[list[Member], list[Member]]:
        """The entries that the changed rows of a step get and lose; the store doesn't know yet.

        ``turned``: keys of all rows, but for new ones, whose memberships may have changed; and any others.
        """
        added: list[Member] = []
        dropped: list[Member] = []
        for key in {*turned, *self._new}:
            if key not in changed:
                continue
            before, after = self._inside.get(key, ()), audiences_in(rows[key].audiences)
            if before != after:
                self._inside[key] = after
                moved(key, before, after, added, dropped)
        self._new.clear()
        sizes, unstored = self._sizes, self._unstored
        for entries, is_there in ((dropped, False), (added, True)):
            for audience, key in entries:
                sizes[audience] = sizes.get(audience, 0) + (1 if is_there else -1)
                unstored.setdefault(audience, {})[key] = number, is_there
        return added, dropped

    def stored(self, number: int, changed: Iterable[Member]) -> None:
        """The store has the stage of this number; ``changed`` are the entries that it added or dropped."""
        for audience, key in changed:
            keys = self._unstored.get(audience)
            if keys is not None and key in keys and keys[key][0] == number:
                del keys[key]
                if not keys:
                    del self._unstored[audience]

    # -- pages ---------------------------------------------------------------------------------------

    def page(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        """Up to ``limit`` row keys above ``after`` of members, stored or staged, in key order."""
        unstored = self._unstored.get(audience)
        if not unstored:
            return self._store.members(audience, after, limit)
        changed = [(key, is_there) for key, (_, is_there) in unstored.items() if key > after]
        gone = {key for key, is_there in changed if not is_there}
        new = nsmallest(limit, (key for key, is_there in changed if is_there))
        stored = self._store.members(audience, after, limit + len(gone) + len(new))
        kept = (key for key in stored if key not in gone and key not in unstored)
        return list(islice(merge(kept, new), limit))


def index_rows(store: RowStore, meta: StoreMeta) -> Iterator[int]:
    """Make the index of a store that has none, or one that a program without it left behind, from the rows.

    Gives, slice by slice, how many rows were looked at. Cut short, it begins anew the next time.
    """
    store.clear_members()
    after = b""
    while rows := store.scan(after, ROWS):
        entries = sorted((audience, key) for key, value in rows for audience in encoded_in(value))
        store.write(Write(members_added=entries))
        after = rows[-1][0]
        yield len(rows)
    store.write(Write(meta=encode_meta(meta.indexed())))


def count_rows(store: RowStore) -> dict[int, int]:
    """By audience key, the members that the stored rows say there are: what the index must say, too."""
    sizes: dict[int, int] = {}
    after = b""
    while rows := store.scan(after, ROWS):
        for _, value in rows:
            for audience in encoded_in(value):
                sizes[audience] = sizes.get(audience, 0) + 1
        after = rows[-1][0]
    return sizes
