"""Where the rows of one partition lie: in RocksDB beside the worker, or in memory (simulate, tests).

Both keep three things in step: rows by key, the timer index (instant, row key) and one meta value. A
``Write`` goes in whole or not at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, RdictIter, WriteBatch, WriteBufferManager

from tables.store_faults import StoreBroken, make_directory, note_broken, noted_fault, watched, wipe

Timer = tuple[int, bytes]
"""(instant in ms, row key)."""

_ROW, _DUE, _META, _NOTE = b"r", b"d", b"m", b"n"


@dataclass(slots=True)
class Write:
    """One atomic change. ``meta`` None leaves the meta value as it is."""

    rows: Sequence[tuple[bytes, bytes]] = ()
    deleted: Sequence[bytes] = ()
    timers_added: list[Timer] = field(default_factory=list)
    timers_dropped: list[Timer] = field(default_factory=list)
    meta: bytes | None = None
    notes: Sequence[tuple[bytes, bytes | None]] = ()
    """By key, beside the rows (``tables.refused``); None removes one."""


class RowStore(Protocol):
    """What a partition needs of its store."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` rows with a key above ``after``, in key order."""
        ...

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        """Up to ``limit`` entries of the timer index with ``from_ms <= instant < before_ms``, in order."""
        ...

    def meta(self) -> bytes | None: ...

    def notes(self) -> list[tuple[bytes, bytes]]:
        """All notes, in key order."""
        ...

    def write(self, change: Write) -> None: ...

    def broken(self, text: str) -> StoreBroken:
        """The error to raise for content that can't be right; the store is not used again."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class MemoryStore:
    """The whole partition in dictionaries."""

    _rows: dict[bytes, bytes] = field(default_factory=dict)
    _due: list[Timer] = field(default_factory=list)
    """Ascending, each once."""
    _meta: bytes | None = None
    _notes: dict[bytes, bytes] = field(default_factory=dict)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return [(key, self._rows[key]) for key in sorted(key for key in self._rows if key > after)[:limit]]

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        start, end = (bisect_left(self._due, (at_ms, b"")) for at_ms in (from_ms, before_ms))
        return self._due[start : min(end, start + limit)]

    def meta(self) -> bytes | None:
        return self._meta

    def notes(self) -> list[tuple[bytes, bytes]]:
        return sorted(self._notes.items())

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


@dataclass(frozen=True, slots=True)
class RocksMemory:
    """Memory that all partitions of a worker share, so that it stays bounded however many there are."""

    cache: Cache
    write_buffers: WriteBufferManager

    @classmethod
    def of(cls, block_cache_bytes: int, write_buffer_bytes: int) -> RocksMemory:
        return cls(
            cache=Cache(block_cache_bytes),
            write_buffers=WriteBufferManager(write_buffer_bytes, False),
        )


class RocksStore:
    """One RocksDB per partition: rows under ``r``, the timer index under ``d``, meta ``m``, notes ``n``.

    Everything may raise StoreBroken, and does so again for every new one until the files are set aside
    (``tables.store_faults``), or StoreUnusable.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        self._path = path
        make_directory(path.parent)
        noted = noted_fault(path)
        if noted is not None:
            raise StoreBroken(noted)
        with watched(path):
            self._db = Rdict(str(path), options=_options(memory))

    def _from(self, start: bytes) -> Iterator[RdictIter]:
        """An iterator on each key from ``start``. rocksdict's own ones end silently at a damaged block."""
        with watched(self._path):
            at = self._db.iter()
            at.seek(start)
            while at.valid():
                yield at
                at.next()
            at.status()

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        with watched(self._path):
            found: Any = self._db.get([_ROW + key for key in keys])  # a list for a list
        return cast(list[bytes | None], found)

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        start = _ROW + after
        rows: list[tuple[bytes, bytes]] = []
        for at in self._from(start):
            key = cast(bytes, at.key())  # raw mode: bytes
            if not key.startswith(_ROW) or len(rows) == limit:
                break
            if key != start or not after:
                rows.append((key[1:], cast(bytes, at.value())))
        return rows

    def timers(self, from_ms: int, before_ms: int, limit: int) -> list[Timer]:
        end = _due_key(before_ms, b"")
        found: list[Timer] = []
        for at in self._from(_due_key(from_ms, b"")):
            key = cast(bytes, at.key())
            if key >= end or len(found) == limit:
                break
            found.append((int.from_bytes(key[1:9], "big") - _OFFSET, key[9:]))
        return found

    def meta(self) -> bytes | None:
        with watched(self._path):
            value: bytes | None = self._db.get(_META)
        return value

    def notes(self) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for at in self._from(_NOTE):
            key = cast(bytes, at.key())
            if not key.startswith(_NOTE):
                break
            found.append((key[1:], cast(bytes, at.value())))
        return found

    def write(self, change: Write) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in change.rows:
            put(_ROW + key, value)
        for key in change.deleted:
            batch.delete(_ROW + key)
        for at_ms, key in change.timers_dropped:
            batch.delete(_due_key(at_ms, key))
        for at_ms, key in change.timers_added:
            put(_due_key(at_ms, key), b"")
        for key, note in change.notes:
            if note is None:
                batch.delete(_NOTE + key)
            else:
                put(_NOTE + key, note)
        if change.meta is not None:
            put(_META, change.meta)
        with watched(self._path):
            self._db.write(batch)

    def broken(self, text: str) -> StoreBroken:
        note_broken(self._path, text)
        return StoreBroken(text)

    def close(self) -> None:
        with watched(self._path):
            self._db.close()


_OFFSET = 1 << 62
"""Added to instants in keys, so that those before 1970 sort first."""


def _due_key(at_ms: int, key: bytes) -> bytes:
    return _DUE + (at_ms + _OFFSET).to_bytes(8, "big") + key


def _options(memory: RocksMemory) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(memory.cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_manager(memory.write_buffers)
    options.set_write_buffer_size(64 * 1024 * 1024)
    options.set_max_total_wal_size(256 * 1024 * 1024)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    return options


__all__ = ["MemoryStore", "RocksMemory", "RocksStore", "RowStore", "StoreBroken", "Timer", "Write", "wipe"]
