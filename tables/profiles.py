"""One partition's rows in memory: a bounded cache over the store, and what is staged but not yet stored.

A step changes cached rows in place, then ``stage``s them: from that moment reads see the new rows while
the changelog and the outputs follow. Then the step is ``durable``, and its rows may go to the store: many
steps in one write, because a row that changes often is then written once. What a crash keeps from the store
is in the changelog, after the offset that the store remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from rules.compile.rule_set import EMPTY, RuleSet
from rules.decide.upgrade import OLD, upgrade
from rules.state.row import Row
from tables.codec import ROW_VERSION, RowUnreadable, decode_row, encode_row, is_newer, split_row_key
from tables.erased import ErasedUsers, buried_in
from tables.member_index import MemberIndex
from tables.row_store import RowStore, Timer, Write, together
from tables.timer_index import TimerIndex

LARGE_BYTES = 32 * 1024
"""Rows from here on are known by their size."""
ANY_BYTES = 1 << 62
Encoded = list[tuple[bytes, bytes]]
"""Key and value of rows."""


@dataclass(slots=True)
class Staged:
    """What one step changed: ``rows`` go to the changelog and the store, ``write`` to the store."""

    number: int
    rows: Sequence[tuple[bytes, bytes]]
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
        self._durable_rows = 0
        self._half = max(1, cache_rows // 2)
        self._young: dict[bytes, Row] = {}
        self._old: dict[bytes, Row] = {}
        self._unstored: dict[bytes, bytes] = {}
        """Encoded rows that are staged and not in the store yet."""
        self._stages = 0
        self.timers = TimerIndex(store)
        self.members = MemberIndex(store)
        self._rules: RuleSet = EMPTY
        self.erased = ErasedUsers()
        """A user who isn't in the store and was erased has a stub in place of a row."""
        self.large: dict[bytes, int] = {}
        """Bytes of the large rows among those in memory."""

    def define(self, rules: RuleSet) -> None:
        """Rows of an older version are upgraded to the states of these rules before they are used."""
        self._rules = rules

    def age(self) -> None:
        """Between steps: when the young half is full it becomes the old one, and the old one goes."""
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
            self.large = {key: size for key, size in self.large.items() if key in self._old}
            self.members.keep(self._old)

    def load(self, keys: Iterable[bytes]) -> Mapping[bytes, Row]:
        """Bring rows into the cache with one multi-get; the mapping has every cached row of the young half.

        Keys without a row are absent, and a user who was erased has a stub. The mapping stays valid until
        ``age``.
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
            self.members.read(missing, young)
        return young

    def _fetch(self, missing: list[bytes], into: dict[bytes, Row]) -> None:
        unstored = self._unstored
        wanted: list[bytes] = []
        for key in missing:
            if key in unstored:
                if key not in into:
                    into[key] = self._decoded(key, unstored[key])
            else:
                wanted.append(key)
        if wanted:
            for key, value in zip(wanted, self.store.get_many(wanted), strict=True):
                if value is not None:
                    into[key] = self._decoded(key, value)
                elif (erased := self.erased.of(key)) is not None:
                    into[key] = erased.row

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
            upgrade(self._rules.project(split_row_key(key)[0]), row)
        return row

    def add(self, key: bytes, row: Row) -> None:
        """A new user's row."""
        self._young[key] = row
        self.members.add(key, row)

    def read(self, key: bytes) -> Row | None:
        """A private copy of one row, for a lookup: changing it changes nothing."""
        return self.read_many([key]).get(key)

    def read_many(self, keys: Iterable[bytes]) -> dict[bytes, Row]:
        """The same of many, with one multi-get. Keys without a row are absent; some rows may be stubs."""
        found: dict[bytes, Row] = {}
        missing: list[bytes] = []
        for key in keys:
            row = self._young.get(key) or self._old.get(key)
            if row is not None:
                found[key] = decode_row(encode_row(row))
            else:
                missing.append(key)
        if missing:
            self._fetch(missing, found)
        return found

    def as_written_today(self, keys: Iterable[bytes], values: Iterable[bytes | None]) -> list[bytes | None]:
        """Rows of the store, each in the version that is written today. Raises StoreBroken."""
        return [
            value if value is None or value[:1] == ROW_VERSION else encode_row(self._decoded(key, value))
            for key, value in zip(keys, values, strict=True)
        ]

    def peek(self, key: bytes) -> Row | None:
        """One row as it is now, to read only, and only until the next step. It may be a stub."""
        row = self._young.get(key) or self._old.get(key)
        if row is None:
            found: dict[bytes, Row] = {}
            self._fetch([key], found)
            row = found.get(key)
        return row

    def read_encoded(self, key: bytes) -> bytes | None:
        """One row as it is now, also within a step."""
        row = self.load([key]).get(key)
        return None if row is None else encode_row(row)

    def stored(self, keys: Iterable[bytes]) -> list[bytes]:
        """Bring the store up to what is durable; those of the keys whose rows it has as they are."""
        self.flush()
        unstored = set(self.unstored_keys())
        return [key for key in keys if key not in unstored]

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
        turned: Iterable[bytes] = (),
    ) -> Staged:
        """Encode what a step changed. Both map a row key to the ``timer_ms`` that its row had before.

        Raises RowsTooLarge, and changes nothing, when a changed row and its key exceed ``most_bytes``.

        ``local`` rows changed in nothing but ``timer_ms``, a lower bound that recovery may find older:
        they go to the store without a changelog record. ``stale`` entries of the timer index are no row's.
        ``turned``: the keys of all rows whose memberships may have changed.
        """
        rows = self._encoded(changed, most_bytes)
        local_rows = self._encoded(local)
        self._unstored.update(rows)
        self._unstored.update(local_rows)
        added, dropped = self._moved_timers(chain(changed.items(), local.items()))
        dropped = [*stale, *dropped]
        self._stages += 1
        self.timers.stage(self._stages, added, dropped)
        write = Write(rows=rows + local_rows, timers_added=added, timers_dropped=dropped)
        write.members_added, write.members_dropped = self.members.stage(
            self._stages, self._young, changed, turned
        )
        return Staged(number=self._stages, rows=rows, write=write)

    def _encoded(self, keys: Iterable[bytes], most_bytes: int = ANY_BYTES) -> Encoded:
        young = self._young
        rows = [(key, encode_row(young[key])) for key in keys]
        self.large.update([(key, len(value)) for key, value in rows if len(value) > LARGE_BYTES])
        too_large = [key for key, value in rows if len(key) + len(value) > most_bytes]
        if too_large:
            raise RowsTooLarge(too_large)
        return rows

    def _moved_timers(
        self, due_before: Iterable[tuple[bytes, int | None]]
    ) -> tuple[list[Timer], list[Timer]]:
        """The entries that changed rows have now, and those that they had before."""
        young = self._young
        added: list[Timer] = []
        dropped: list[Timer] = []
        for key, before_ms in due_before:
            timer_ms = young[key].timer_ms
            if timer_ms != before_ms:
                if before_ms is not None:
                    dropped.append((before_ms, key))
                if timer_ms is not None:
                    added.append((timer_ms, key))
        return added, dropped

    def durable(self, *staged: Staged) -> None:
        """Steps are in the changelog, their outputs are in Kafka: the store may have them.

        Those that the changelog got together come together: a note of one may speak of all.
        """
        for each in staged:
            self._durable.append(each)
            self._durable_rows += len(each.write.rows) + len(each.write.timers_dropped)
        if self.durable_rows > self.behind_rows or any(buried_in(each.write.notes) for each in staged):
            self.flush()

    def flush(self, meta: bytes | None = None) -> None:
        """Write all durable steps to the store, with the last one's note or ``meta`` in its place."""
        write = together([each.write for each in self._durable])
        write.meta = meta or write.meta
        if self._durable or write.meta is not None:
            self.store.write(write)
        unstored = self._unstored
        for key, value in write.rows:
            if unstored.get(key) is value:
                del unstored[key]
        for staged in self._durable:
            stored = staged.write
            self.timers.stored(staged.number, chain(stored.timers_dropped, stored.timers_added))
            self.members.stored(staged.number, chain(stored.members_dropped, stored.members_added))
        self.timers.tidy()
        self._durable.clear()
        self._durable_rows = 0

    def scan(self, after: bytes, limit: int) -> list[bytes]:
        """Stored row keys above ``after``; staged new rows come with their own steps."""
        return [key for key, _ in self.store.scan(after, limit)]

    def unstored_keys(self) -> list[bytes]:
        return list(self._unstored)

    def unstored_row(self, key: bytes) -> bytes:
        """A row that is staged and not in the store yet, encoded."""
        return self._unstored[key]

    @property
    def durable_rows(self) -> int:
        """Rows and dropped timers that may go to the store and are not there yet."""
        return self._durable_rows

    @property
    def cached_rows(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def unstored_rows(self) -> int:
        return len(self._unstored)
