"""Scratch stores: a restart goes on in the same one, and another computation begins in an empty one."""

from __future__ import annotations

from pathlib import Path

from agents.backfill.history.extent import Extent, Start
from agents.backfill.history.imports import NOT_IMPORTED, Piece, Run
from agents.backfill.replay.scratch import ScratchStores, identity_of
from tables.store import RocksMemory, Write

MEMORY = RocksMemory.of(8 << 20, 8 << 20)
EXTENT = Extent(
    5, (Run("h", 3, [Piece(NOT_IMPORTED, 0, 9)]),), (Start("events", 3, 7), Start("rekeyed", 3, 0))
)
A, B = identity_of([b"a"]), identity_of([b"b"])


def begun(stores: ScratchStores, identity: str = A) -> None:
    opened = stores.open(3, identity, MEMORY)
    assert opened.extent is None
    stores.begin(3, identity, EXTENT)
    opened.store.write(Write(rows=[(b"u", b"row")]))
    opened.store.close()


def rows_in(stores: ScratchStores, identity: str = A) -> tuple[list[bytes | None], Extent | None]:
    opened = stores.open(3, identity, MEMORY)
    found = opened.store.get_many([b"u"])
    opened.store.close()
    return found, opened.extent


def test_a_restart_goes_on_with_what_was_written_and_reads_the_same(tmp_path: Path) -> None:
    begun(ScratchStores(tmp_path, "c"))
    assert rows_in(ScratchStores(tmp_path, "c")) == ([b"row"], EXTENT)


def test_another_computation_begins_in_an_empty_store_and_takes_the_place_of_the_first(
    tmp_path: Path,
) -> None:
    stores = ScratchStores(tmp_path, "c")
    begun(stores)
    assert rows_in(stores, B) == ([None], None)
    assert rows_in(stores) == ([None], None)


def test_a_store_without_its_extent_is_of_no_use(tmp_path: Path) -> None:
    stores = ScratchStores(tmp_path, "c")
    begun(stores)
    (path,) = tmp_path.rglob("extent.json")
    path.write_bytes(b"{")
    assert rows_in(stores) == ([None], None)


def test_a_damaged_store_is_computed_again(tmp_path: Path) -> None:
    stores = ScratchStores(tmp_path, "c")
    begun(stores)
    (path,) = tmp_path.rglob("CURRENT")
    path.write_bytes(b"nonsense\n")
    assert rows_in(stores) == ([None], None)
    assert not [*tmp_path.rglob("*.broken.*")]


def test_stores_of_partitions_that_moved_away_are_removed(tmp_path: Path) -> None:
    stores = ScratchStores(tmp_path, "c")
    begun(stores)
    stores.remove_others({3})
    assert rows_in(stores) == ([b"row"], EXTENT)
    stores.remove_others({1})
    assert rows_in(stores) == ([None], None)
    stores.remove(3)
    assert not [*(tmp_path / "scratch").iterdir()]


def test_what_is_computed_is_known_by_its_definitions_in_any_order() -> None:
    assert identity_of([b"a", b"b"]) == identity_of([b"b", b"a"])
    assert len({identity_of([b"a", b"b"]), identity_of([b"ab"]), identity_of([b"a"]), identity_of([])}) == 4
