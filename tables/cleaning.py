"""Taking the bytes of users who were erased out of RocksDB's files.

A deletion is a record like others: the bytes stay in tables of rows (SST files), in the log of writes, in the
manifest, which names the first and last keys of the tables, and in RocksDB's log for people, until these are
written again. Which rows it is about stands in memory; after a restart only that there are some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from rocksdict import BottommostLevelCompaction, CompactOptions, Rdict, WriteBatch

from tables.erased import buried_in
from tables.store_faults import forget_aside, watched

_UNCLEAN: Final = b"u"
"""A key of the store, there while it is unclean."""


class Cleaning:
    """Of one store. Rows lie under ``prefix`` and their keys, the indexes, which name users, too, before."""

    def __init__(self, db: Rdict, path: Path, prefix: bytes) -> None:
        self._db = db
        self._path = path
        self._prefix = prefix
        self._at_work = Lock()
        self._marks = Lock()
        self._is_closed = False
        with watched(path):
            self.is_unclean: bool = db.get(_UNCLEAN) is not None
        self._is_all = self.is_unclean
        """It may be about any row."""
        self._buried: list[bytes] = []
        """Keys of rows that it is about."""

    @contextmanager
    def marked(self, batch: WriteBatch, notes: Iterable[tuple[bytes, bytes | None]]) -> Iterator[None]:
        """While a batch is written that has these notes: it is marked where users are buried."""
        buried = buried_in(notes)
        if buried:
            batch.put(_UNCLEAN, b"")
        with self._marks:
            yield
            self._buried += buried
            self.is_unclean = self.is_unclean or bool(buried)

    def clean(self) -> bool:
        """See ``RowStore.clean``."""
        with self._at_work:
            buried = list(self._buried)
            try:
                if self._is_closed:
                    return False
                self._write_again(None if self._is_all else buried)
            except Exception as error:
                if self._is_closed:
                    return False
                with watched(self._path):
                    raise error
            with self._marks, watched(self._path):
                del self._buried[: len(buried)]
                self._is_all = False
                if not self._buried:
                    self._db.delete(_UNCLEAN)
                    self.is_unclean = False
            return True

    def _write_again(self, keys: list[bytes] | None) -> None:
        """The indexes, and around these rows, or everything. Raises what RocksDB raises."""
        self._db.flush()  # and the log of writes begins anew
        options = CompactOptions()
        options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        options.set_exclusive_manual_compaction(False)
        if keys is None:
            self._db.compact_range(None, None, compact_opt=options)
        else:
            self._db.compact_range(None, self._prefix, compact_opt=options)
            for key in keys:
                self._db.compact_range(self._prefix + key, self._prefix + key + b"\0", compact_opt=options)
        # A manifest begins with the tables as they were before the last change: so there has to be one more.
        self._db.put(_UNCLEAN, b"")
        self._db.flush()
        for told in self._path.glob("LOG*"):  # it names the ranges
            told.unlink(missing_ok=True)
        forget_aside(self._path)

    def close(self) -> None:
        """Close the database; what is under way ends at once."""
        self._is_closed = True
        is_cut_short = self._at_work.locked()
        if is_cut_short:
            self._db.cancel_all_background(True)
        with self._at_work:
            try:
                self._db.close()
            except Exception:
                # It can't bring its memory to files any more, closes all the same, and has its log of writes.
                if not is_cut_short:
                    raise
