"""Where the rows of one partition lie: in RocksDB beside the worker; in memory: ``tables.memory_store``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, RdictIter, WriteBatch, WriteBufferManager

from tables.cleaning import Cleaning
from tables.memory_store import MemoryStore
from tables.row_store import Member, RowStore, Timer, Write
from tables.store_faults import (
    StoreBroken,
    StoreClosed,
    make_directory,
    note_broken,
    noted_fault,
    watched,
    wipe,
)

_ROW, _DUE, _META, _NOTE, _MEMBER, _SIZE = b"r", b"d", b"m", b"n", b"i", b"s"


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
    """One RocksDB per partition: rows under ``r``, the timer index under ``d``, meta ``m``, notes ``n``,
    the index of members under ``i``, its sizes under ``s``, a mark under ``u`` (``tables.cleaning``).

    Everything may raise StoreBroken, and does so again for every new one until the files are set aside
    (``tables.store_faults``), or StoreUnusable.
    """

    def __init__(self, path: Path, memory: RocksMemory) -> None:
        self._path = path
        make_directory(path.parent)
        noted = noted_fault(path)
        if noted is not None:
            raise StoreBroken(noted)
        options = _options(memory)
        with watched(path):
            # Without column_families, a store that is opened again has neither our cache nor a filter.
            self._db = Rdict(str(path), options=options, column_families={"default": options})
        self._aside = Lock()
        self._is_closed = False
        self._sizes: dict[int, int] | None = None
        """As they are stored; None: not read yet."""
        self._cleaning = Cleaning(self._db, path, _ROW)

    def _from(self, start: bytes) -> Iterator[RdictIter]:
        """An iterator on each key from ``start``. rocksdict's own ones end silently at a damaged block.

        Raises StoreClosed.
        """
        if self._is_closed:
            raise StoreClosed
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

    def get_many_aside(self, keys: list[bytes]) -> list[bytes | None]:
        with self._aside:
            if self._is_closed:
                raise StoreClosed
            return self.get_many(keys)

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

    def members(self, audience: int, after: bytes, limit: int) -> list[bytes]:
        prefix = _MEMBER + audience.to_bytes(4, "big")
        start = prefix + after
        found: list[bytes] = []
        for at in self._from(start):
            key = cast(bytes, at.key())
            if not key.startswith(prefix) or len(found) == limit:
                break
            if key != start or not after:
                found.append(key[5:])
        return found

    def sizes(self) -> dict[int, int]:
        if self._sizes is None:
            sizes: dict[int, int] = {}
            for at in self._from(_SIZE):
                key = cast(bytes, at.key())
                if not key.startswith(_SIZE):
                    break
                sizes[int.from_bytes(key[1:], "big")] = int.from_bytes(cast(bytes, at.value()), "big")
            self._sizes = sizes
        return dict(self._sizes)

    def clear_members(self) -> None:
        batch = WriteBatch(raw_mode=True)
        for prefix in (_MEMBER, _SIZE):
            batch.delete_range(prefix, bytes([prefix[0] + 1]))
        with watched(self._path):
            self._db.write(batch)
        self._sizes = {}

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
        sizes = self._put_members(batch, change)
        with self._cleaning.marked(batch, change.notes), watched(self._path):
            self._db.write(batch)
        self._sizes = sizes

    def _put_members(self, batch: WriteBatch, change: Write) -> dict[int, int] | None:
        """Put what changes in the index of members into the batch; the sizes as they are then."""
        changes = change.size_changes()
        if not changes:
            return self._sizes
        put, prefixes = batch.put, {each: _MEMBER + each.to_bytes(4, "big") for each in changes}
        for audience, key in change.members_dropped:
            batch.delete(prefixes[audience] + key)
        for audience, key in change.members_added:
            put(prefixes[audience] + key, b"")
        sizes = self.sizes()
        for audience, news in changes.items():
            sizes[audience] = size = sizes.get(audience, 0) + news
            key = _SIZE + audience.to_bytes(4, "big")
            if size:
                batch.put(key, size.to_bytes(8, "big"))
            else:
                del sizes[audience]
                batch.delete(key)
        return sizes

    def broken(self, text: str) -> StoreBroken:
        note_broken(self._path, text)
        return StoreBroken(text)

    @property
    def is_unclean(self) -> bool:
        return self._cleaning.is_unclean

    def clean(self) -> bool:
        return self._cleaning.clean()

    def close(self) -> None:
        with self._aside, watched(self._path):  # RocksDB refuses to close while somebody reads
            self._is_closed = True
            self._cleaning.close()


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
    options.set_max_manifest_file_size(1)  # it names keys, and has to be begun anew when they are gone
    return options


__all__ = [
    "Member",
    "MemoryStore",
    "RocksMemory",
    "RocksStore",
    "RowStore",
    "StoreBroken",
    "StoreClosed",
    "Timer",
    "Write",
    "wipe",
]
