"""The rows of one partition in memory: for simulations and tests."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from tables.row_store import Timer, Write
from tables.store_faults import StoreBroken


@dataclass(slots=True)
class MemoryStore:
    """The whole partition in dictionaries."""

    _rows: dict[bytes, bytes] = field(default_factory=dict)
    _due: list[Timer] = field(default_factory=list)
    """Ascending, each once."""
    _meta: bytes | None = None
    _notes: dict[bytes, bytes] = field(default_factory=dict)
    _members: dict[int, set[bytes]] = field(default_factory=dict)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]

    get_many_aside = get_many

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return [(key, self._rows[key]) for key in sorted(key for key in self._rows if key > after)[:limit]]

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        start, end = (bisect_left(self._due, (at_ms, b"")) for at_ms in (from_ms, before_ms))
        return self._due[start : min(end, start + limit)]

    def members(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        return sorted(key for key in self._members.get(audience, ()) if key > after)[:limit]

    def sizes(self) -> dict[int, int]:
        return {audience: len(keys) for audience, keys in self._members.items() if keys}

    def clear_members(self) -> None:
        self._members.clear()

    def meta(self) -> bytes | None:
        return self._meta

    def notes(self) -> list[tuple[bytes, bytes]]:
        return sorted(self._notes.items())

    @property
    def is_unclean(self) -> bool:
        return False

    def clean(self) -> bool:
        return True

    def write(self, change: Write) -> None:
        self._rows.update(change.rows)
        for key in change.deleted:
            self._rows.pop(key, None)
        due = self._due
        for entry in change.timers_dropped:
            at = bisect_left(due, entry)
            if at < len(due) and due[at] == entry:
                del due[at]
        for entry in change.timers_added:
            at = bisect_left(due, entry)
            if at == len(due) or due[at] != entry:
                due.insert(at, entry)
        for audience, key in change.members_dropped:
            self._members[audience].remove(key)
        for audience, key in change.members_added:
            self._members.setdefault(audience, set()).add(key)
        for key, value in change.notes:
            if value is None:
                self._notes.pop(key, None)
            else:
                self._notes[key] = value
        if change.meta is not None:
            self._meta = change.meta

    def broken(self, text: str) -> StoreBroken:
        return StoreBroken(text)

    def close(self) -> None:
        pass
