"""Opening a partition's store, whatever its files look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tables.codec import decode_checkpoint
from tables.meta import decode_meta
from tables.store import RocksMemory, RocksStore
from tables.store_faults import StoreBroken, StoreUnusable, set_aside


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that can be used, and its meta value, which can be read (None: it is empty)."""

    store: RocksStore
    meta: bytes | None
    fault: str | None = None
    """Why the files that were there before are set aside; None: they weren't."""
    aside: Path | None = None
    """Where they are now."""


def open_store(path: Path, memory: RocksMemory) -> Opened:
    """Open the store; one that is damaged in any way is set aside, and an empty one begins in its place.

    Raises StoreUnusable where that would not help.
    """
    try:
        return _open(path, memory)
    except StoreBroken as broken:
        aside = set_aside(path)
        try:
            opened = _open(path, memory)
        except StoreBroken as again:
            raise StoreUnusable(f"no store can be made at {path}: {again}") from again
        return Opened(opened.store, opened.meta, str(broken), aside)


def _open(path: Path, memory: RocksMemory) -> Opened:
    store = RocksStore(path, memory)
    try:
        value = store.meta()
        try:
            if value is not None and (checkpoint := decode_meta(value).checkpoint):
                decode_checkpoint(checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise store.broken(f"what the store remembers of its changelog can't be read: {error}") from error
    except BaseException:
        store.close()  # its lock would keep the new one out
        raise
    return Opened(store, value)
