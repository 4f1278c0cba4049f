"""Scratch stores: where shadows keep their rows, and beside them what they read, so that a restart goes on.

    <data directory>/scratch/<changelog>-<partition>/<identity>/extent.json
                                                               /rows/         (RocksDB)

They have no changelog: what is lost is computed again. ``identity`` stands for what is computed; a store of
another one is of no use any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Set
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from agents.backfill.history.extent import Extent, decode_extent, encode_extent
from tables.opening import open_store
from tables.store import RocksMemory, RocksStore

FOLDER: Final = "scratch"
_EXTENT, _ROWS = "extent.json", "rows"


def identity_of(definitions: Iterable[bytes]) -> str:
    """Of a computation: by the encoded definitions that it computes, in any order."""
    digest = blake2b(digest_size=16)
    for each in sorted(definitions):
        digest.update(len(each).to_bytes(8, "big") + each)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class OpenedScratch:
    """``extent``: what it reads; None: it is new, and must ``begin`` before anything is written."""

    store: RocksStore
    extent: Extent | None


class ScratchStores:
    """The scratch stores of the partitions of one table. Their files are this process's own."""

    def __init__(self, directory: Path, changelog: str) -> None:
        self.directory = directory / FOLDER
        self._changelog = changelog

    def open(self, partition: int, identity: str, memory: RocksMemory) -> OpenedScratch:
        """The store of a computation, with what an earlier life has written; all others of the partition are
        removed. Raises StoreUnusable."""
        folder = self._of(partition)
        for path in folder.glob("*"):
            if path.name != identity:
                shutil.rmtree(path)
        home = folder / identity
        extent = _read_extent(home / _EXTENT)
        if extent is None and home.exists():
            shutil.rmtree(home)
        opened = open_store(home / _ROWS, memory)
        if opened.fault is not None:  # everything is computed again
            (home / _EXTENT).unlink(missing_ok=True)
            if opened.aside is not None:
                shutil.rmtree(opened.aside, ignore_errors=True)
            extent = None
        return OpenedScratch(opened.store, extent)

    def begin(self, partition: int, identity: str, extent: Extent) -> None:
        """Note what a new store's computation reads."""
        home = self._of(partition) / identity
        waiting = home / f"{_EXTENT}.new"
        with waiting.open("wb") as file:
            file.write(encode_extent(extent))
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(home / _EXTENT)

    def remove(self, partition: int) -> None:
        """Of a computation that is over, or of one that nobody wants any more; its store must be closed."""
        shutil.rmtree(self._of(partition), ignore_errors=True)

    def remove_others(self, partitions: Set[int]) -> None:
        """Those of partitions that are another worker's now."""
        kept = {self._of(each).name for each in partitions}
        for path in self.directory.glob(f"{self._changelog}-*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _of(self, partition: int) -> Path:
        return self.directory / f"{self._changelog}-{partition}"


def _read_extent(path: Path) -> Extent | None:
    try:
        return decode_extent(path.read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
