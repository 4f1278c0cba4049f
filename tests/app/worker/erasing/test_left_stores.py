"""Stores of partitions that a worker no longer has, after users were erased there."""

from __future__ import annotations

import os
from pathlib import Path

from agents.restore.stores import store_path
from app.worker.erasing.left_stores import CLEANED_MS, LeftStores
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import wipe

USED_MS = 1_700_000_000_000


def test_a_store_that_was_left_before_an_erasure_goes_and_no_other(tmp_path: Path) -> None:
    erased_ms = {0: USED_MS + 1, 1: USED_MS + 1, 2: USED_MS - CLEANED_MS - 1, 4: USED_MS - CLEANED_MS + 1}
    memory = RocksMemory.of(8 << 20, 8 << 20)
    paths = {each: store_path(tmp_path, "changelog", each) for each in range(5)}
    for path in (*paths.values(), tmp_path / "changelog-other"):
        store = RocksStore(path, memory)
        store.write(Write(rows=[(b"ann", b"1")]))
        store.close()
        for each in path.iterdir():
            os.utime(each, ns=(USED_MS * 1_000_000, USED_MS * 1_000_000))
    stores = LeftStores(tmp_path, "changelog", lambda: {1}, erased_ms.get)
    first = stores.put_away()
    assert stores.put_away() == first, "a kill before they are removed"
    for path in first:
        wipe(path)
    assert stores.put_away() == []
    left = {number for number, path in paths.items() if path.exists()}
    assert left == {1, 2, 3}, "in use, cleaned while it was in use, nobody erased"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *(f"changelog-{each}" for each in (1, 2, 3)),
        "changelog-other",
    ]
