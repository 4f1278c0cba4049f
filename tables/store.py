"""Where the rows of one partition lie: in RocksDB beside the worker, or in memory (simulate, tests).

Both keep three things in step: rows by key, the due index (instant, row key) and one meta value. A
``Write`` goes in whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Protocol

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteBufferManager

Due = tuple[int, bytes]
"""(instant in ms, row key)."""

_ROW, _DUE, _META = b"r", b"d", b"m"
_DUE_END = b"e"


@dataclass(slots=True)
class Write:
    """One atomic change. ``meta`` None leaves the meta value as it is."""

    rows: Sequence[tuple[bytes, bytes]] = ()
    deleted: Sequence[bytes] = ()
    due_added: list[Due] = field(default_factory=list)
    due_dropped: list[Due] = field(default_factory=list)
    meta: bytes | None = None


class RowStore(Protocol):
    """What a partition needs of its store."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` rows with a key above ``after``, in key order."""
        ...

    def due(self, from_ms: int, before_ms: int, limit: int) -> list[Due]:
        """Up to ``limit`` entries of the due index with ``from_ms <= instant < before_ms``, in order."""
        ...

    def meta(self) -> bytes | None: ...

    def write(self, change: Write) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class MemoryStore:
    """The whole partition in dictionaries."""

    _rows: dict[bytes, bytes] = field(default_factory=dict)
    _due: list[Due] = field(default_factory=list)
    _dropped: set[Due] = field(default_factory=set)
    _live: set[Due] = field(default_factory=set)
    _meta: bytes | None = None

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return [(key, self._rows[key]) for key in sorted(key for key in self._rows if key > after)[:limit]]

    def due(self, from_ms: int, before_ms: int, limit: int) -> list[Due]:
        found: list[Due] = []
        while self._due and self._due[0][0] < before_ms and len(found) < limit:
            entry = heappop(self._due)
            if entry in self._live:
                found.append(entry)
        for entry in found:  # they stay until they are dropped
            heappush(self._due, entry)
        return found

    def meta(self) -> bytes | None:
        return self._meta

    def write(self, change: Write) -> None:
        self._rows.update(change.rows)
        for key in change.deleted:
            self._rows.pop(key, None)
        self._live.difference_update(change.due_dropped)
        for entry in change.due_added:
            if entry not in self._live:
                self._live.add(entry)
                heappush(self._due, entry)
        if change.meta is not None:
            self._meta = change.meta

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
    """One RocksDB per partition: rows under ``r``, the due index under ``d``, meta under ``m``."""

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._db = Rdict(str(path), options=_options(memory))

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = self._db.get([_ROW + key for key in keys])
        return found

    def scan(self, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        start = _ROW + after
        rows: list[tuple[bytes, bytes]] = []
        for key, value in self._db.items(from_key=start):
            if not key.startswith(_ROW) or len(rows) == limit:
                break
            if key != start or not after:
                rows.append((key[1:], value))
        return rows

    def due(self, from_ms: int, before_ms: int, limit: int) -> list[Due]:
        end = _due_key(before_ms, b"")
        found: list[Due] = []
        for key in self._db.keys(from_key=_due_key(from_ms, b"")):
            if key >= end or len(found) == limit:
                break
            found.append((int.from_bytes(key[1:9], "big") - _OFFSET, key[9:]))
        return found

    def meta(self) -> bytes | None:
        value: bytes | None = self._db.get(_META)
        return value

    def write(self, change: Write) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in change.rows:
            put(_ROW + key, value)
        for key in change.deleted:
            batch.delete(_ROW + key)
        for at_ms, key in change.due_dropped:
            batch.delete(_due_key(at_ms, key))
        for at_ms, key in change.due_added:
            put(_due_key(at_ms, key), b"")
        if change.meta is not None:
            put(_META, change.meta)
        self._db.write(batch)

    def close(self) -> None:
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


def wipe(path: Path) -> None:
    """Remove a partition's directory; its rows come back from the changelog."""
    shutil.rmtree(path, ignore_errors=True)


__all__: Iterable[str] = ["Due", "MemoryStore", "RocksMemory", "RocksStore", "RowStore", "Write", "wipe"]
