"""One partition's rows in memory: a bounded cache over the store, and what is staged but not yet stored.

A step changes cached rows in place, then ``stage``s them: from that moment reads see the new rows while
the changelog and the outputs follow. Then the step is ``durable``, and its rows may go to the store: many
steps in one write, for a row that changes often is then written once. What a crash keeps from the store is
in the changelog, after the offset that the store remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import msgspec

from rules.decide.upgrade import OLD
from rules.state.row import Row
from rules.time.instants import FAR_MS
from tables.codec import RowUnreadable, decode_row, encode_row, is_newer
from tables.store import RowStore, Timer, Write

LARGE_BYTES = 32 * 1024
"""Rows from here on are known by their size."""
ANY_BYTES = 1 << 62
_ABSENT = (0, True)


@dataclass(slots=True)
class Staged:
    """What one step changed: ``rows`` go to the changelog and the store, ``write`` to the store."""

    number: int
    rows: list[tuple[bytes, bytes]]
    write: Write


class RowsTooLarge(Exception):
    """``keys`` are those of rows that are larger than allowed."""

    def __init__(self, keys: list[bytes]) -> None:
        super().__init__(f"{len(keys)} rows are too large")
        self.keys = keys


class Profiles:
    """Rows of one partition. ``cache_rows`` bounds the decoded rows kept (two generations of half each).

    The store is written when more than about ``behind_rows`` encoded rows are durable but not in it.
    """

    def __init__(self, store: RowStore, cache_rows: int, behind_rows: int = 0) -> None:
        self.store = store
        self.behind_rows = behind_rows
        self._durable: list[Staged] = []
        self.durable_rows = 0
        """Rows and due entries that the store doesn't have yet and may have."""
        self._half = max(1, cache_rows // 2)
        self._young: dict[bytes, Row] = {}
        self._old: dict[bytes, Row] = {}
        self._unstored: dict[bytes, bytes | None] = {}
        self._stages = 0
        self._unstored_due: dict[Timer, tuple[int, bool]] = {}
        """Per due entry, the last unstored stage that changed it, and whether the entry is there then."""
        self._added_due: list[Timer] = []  # a heap of the entries that unstored stages added
        self._hidden_due = 0  # how many entries of ``_unstored_due`` are not there
        self.upgrade: Callable[[bytes, Row], None] = _keep
        """What is done to a row of an older version before it is used."""
        self.large: dict[bytes, int] = {}
        """Bytes of the large rows among those in memory."""
        self._due_floor_ms = -FAR_MS
        self._quiet_until_ms = -FAR_MS

    def age(self) -> None:
        """Between steps: when the young half is full it becomes the old one, and the old one goes."""
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
            self.large = {key: size for key, size in self.large.items() if key in self._old}

    def load(self, keys: Iterable[bytes]) -> Mapping[bytes, Row]:
        """Bring rows into the cache with one multi-get; the mapping has every cached row of the young half.

        Keys without a row are absent. The mapping stays valid until ``age``.
        """
        young, old = self._young, self._old
        missing: list[bytes] = []
        for key in keys:
            if key in young:
                continue
            row = old.get(key)
            if row is not None:
                young[key] = row
            else:
                missing.append(key)
        if missing:
            self._fetch(missing, young)
        return young

    def _fetch(self, missing: list[bytes], into: dict[bytes, Row]) -> None:
        unstored = self._unstored
        wanted: list[bytes] = []
        for key in missing:
            if key in unstored:
                value = unstored[key]
                if value is not None and key not in into:
                    into[key] = self._decoded(key, value)
            else:
                wanted.append(key)
        if wanted:
            for key, value in zip(wanted, self.store.get_many(wanted), strict=True):
                if value is not None:
                    into[key] = self._decoded(key, value)

    def _decoded(self, key: bytes, value: bytes) -> Row:
        try:
            row = decode_row(value)
        except RowUnreadable:
            if is_newer(value):
                raise
            raise self.store.broken(f"the row of {key!r} begins with {value[:1]!r}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.store.broken(f"the row of {key!r} can't be read: {error}") from error
        if len(value) > LARGE_BYTES:
            self.large[key] = len(value)
        if row.used == OLD:
            self.upgrade(key, row)
        return row

    def add(self, key: bytes, row: Row) -> None:
        """A new user's row."""
        self._young[key] = row

    def read(self, key: bytes) -> Row | None:
        """A private copy of one row, for a lookup: changing it changes nothing."""
        row = self._young.get(key) or self._old.get(key)
        if row is not None:
            return decode_row(encode_row(row))
        found: dict[bytes, Row] = {}
        self._fetch([key], found)
        return found.get(key)

    def read_encoded(self, key: bytes) -> bytes | None:
        """One row as it is now, also within a step."""
        row = self.load([key]).get(key)
        return None if row is None else encode_row(row)

    def put_back(self, key: bytes, value: bytes | None) -> None:
        """Make a row within a step what ``read_encoded`` gave before."""
        if value is None:
            self._young.pop(key, None)
        else:
            self._young[key] = decode_row(value)

    def forget(self, keys: Iterable[bytes]) -> None:
        """Within a step: these rows are again what they were when they were last staged."""
        for key in keys:
            self._young.pop(key, None)
            self._old.pop(key, None)

    def stage(
        self,
        changed: Mapping[bytes, int | None],
        local: Mapping[bytes, int | None],
        stale: Iterable[Timer] = (),
        most_bytes: int = ANY_BYTES,
    ) -> Staged:
        """Encode what a step changed. Both map a row key to the ``timer_ms`` that its row had before.

        Raises RowsTooLarge, and changes nothing, when a changed row and its key exceed ``most_bytes``.

        ``local`` rows changed in nothing but ``timer_ms``, a lower bound that recovery may find older:
        they go to the store without a changelog record. ``stale`` entries of the timer index are no row's.
        """
        young = self._young
        unstored = self._unstored
        rows = [(key, encode_row(young[key])) for key in changed]
        large = [(key, value) for key, value in rows if len(value) > LARGE_BYTES]
        for key, value in large:
            self.large[key] = len(value)
        too_large = [key for key, value in rows if len(key) + len(value) > most_bytes]
        if too_large:
            raise RowsTooLarge(too_large)
        local_rows = [(key, encode_row(young[key])) for key in local]
        added: list[Timer] = []
        dropped: list[Timer] = [*stale]
        for keys, encoded in ((changed, rows), (local, local_rows)):
            for (key, due_before), (_, value) in zip(keys.items(), encoded, strict=True):
                row = young[key]
                unstored[key] = value
                if row.timer_ms != due_before:
                    if due_before is not None:
                        dropped.append((due_before, key))
                    if row.timer_ms is not None:
                        added.append((row.timer_ms, key))
        self._stages = number = self._stages + 1
        unstored_due = self._unstored_due
        for entry in dropped:
            if unstored_due.get(entry, _ABSENT)[1]:
                self._hidden_due += 1
            unstored_due[entry] = number, False
        for entry in added:
            if not unstored_due.get(entry, _ABSENT)[1]:
                self._hidden_due -= 1
            unstored_due[entry] = number, True
            heappush(self._added_due, entry)
        if added:
            self._quiet_until_ms = min(self._quiet_until_ms, min(added)[0])
        write = Write(rows=rows + local_rows, timers_added=added, timers_dropped=dropped)
        return Staged(number=number, rows=rows, write=write)

    def durable(self, *staged: Staged) -> None:
        """Steps are in the changelog, their outputs are in Kafka: the store may have them.

        Those that the changelog got together come together: a note of one may speak of all.
        """
        for each in staged:
            self._durable.append(each)
            self.durable_rows += len(each.write.rows) + len(each.write.timers_dropped)
        if self.durable_rows > self.behind_rows:
            self.flush()

    def flush(self, meta: bytes | None = None) -> None:
        """Write all durable steps to the store, with the last one's note or ``meta`` in its place."""
        rows: dict[bytes, bytes] = {}
        added: set[Timer] = set()
        dropped: set[Timer] = set()
        notes: dict[bytes, bytes | None] = {}
        last_meta: bytes | None = None
        for staged in self._durable:
            write = staged.write
            rows.update(write.rows)
            for entry in write.timers_dropped:
                if entry in added:
                    added.discard(entry)
                else:
                    dropped.add(entry)
            for entry in write.timers_added:
                if entry in dropped:
                    dropped.discard(entry)
                else:
                    added.add(entry)
            notes.update(write.notes)
            last_meta = write.meta or last_meta
        meta = meta or last_meta
        if self._durable or meta is not None:
            # In order of the keys: RocksDB takes them in a third less time.
            self.store.write(
                Write(sorted(rows.items()), (), sorted(added), sorted(dropped), meta, list(notes.items()))
            )
        unstored = self._unstored
        for key, value in rows.items():
            if unstored.get(key) is value:
                del unstored[key]
        for staged in self._durable:
            for entry in (*staged.write.timers_dropped, *staged.write.timers_added):
                number, there = self._unstored_due.get(entry, _ABSENT)
                if number == staged.number:
                    del self._unstored_due[entry]
                    self._hidden_due -= not there
        # Entries far ahead would stay for as long, one for each user that ever passed.
        self._added_due = [entry for entry, (_, there) in self._unstored_due.items() if there]
        heapify(self._added_due)
        self._durable.clear()
        self.durable_rows = 0

    def due(self, before_ms: int, limit: int) -> list[Timer]:
        """Up to ``limit`` due entries before ``before_ms``, stored or staged, in order of time."""
        unstored, heap = self._unstored_due, self._added_due
        added: list[Timer] = []
        while heap and heap[0][0] < before_ms:
            entry = heappop(heap)
            number, there = unstored.get(entry, _ABSENT)
            if number and there:
                added.append(entry)
        staged_ms = heap[0][0] if heap else FAR_MS
        for entry in added:
            heappush(heap, entry)  # until it is handled, that is dropped
        found = self.store.timers(self._due_floor_ms, before_ms, limit + self._hidden_due)
        if unstored:
            found = [entry for entry in found if entry not in unstored]
        if added:
            found = sorted({*added, *found})
        if not found:
            later = self.store.timers(max(before_ms, self._due_floor_ms), FAR_MS, 1)
            self._quiet_until_ms = min([staged_ms, *(at_ms for at_ms, _ in later)])
        return found[:limit]

    def is_due(self, before_ms: int) -> bool:
        """Whether ``due`` may find something: False is certain."""
        return before_ms > self._quiet_until_ms

    def fired_until(self, before_ms: int) -> None:
        """All entries before this instant are handled: start the next search there, past the deleted ones."""
        self._due_floor_ms = max(self._due_floor_ms, before_ms)

    def scan(self, after: bytes, limit: int) -> list[bytes]:
        """Stored row keys above ``after``; staged new rows come with their own steps."""
        return [key for key, _ in self.store.scan(after, limit)]

    def unstored_keys(self) -> list[bytes]:
        return list(self._unstored)

    @property
    def cached_rows(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def unstored_rows(self) -> int:
        return len(self._unstored)

    @property
    def timers_in_memory(self) -> int:
        return len(self._added_due)


def _keep(key: bytes, row: Row) -> None:
    """Rows are used as they are decoded."""
