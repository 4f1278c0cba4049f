"""The two stores behave alike, whatever is written in whatever order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.store import MemoryStore, RocksMemory, RocksStore, RowStore, Write, wipe

MEMORY = RocksMemory.of(8 << 20, 8 << 20)
keys = st.sampled_from([b"a", b"ab", b"b", b"\0p\0a", b"\0", b"\xff\xff", b"c" * 40])
instants = st.sampled_from(
    [-(1 << 61), -62_135_596_800_000, -1, 0, 1, 1_700_000_000_000, 256_557_000_000_000]
)
entries = st.lists(st.tuples(instants, keys), max_size=4)
rows = st.lists(st.tuples(keys, st.binary(max_size=8)), max_size=4)
writes = st.builds(
    Write,
    rows=rows,
    deleted=st.lists(keys, max_size=2),
    timers_added=entries,
    timers_dropped=entries,
    meta=st.none() | st.binary(max_size=4),
)


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RowStore:
    return MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "p" / "0", MEMORY)


@settings(max_examples=12, deadline=None)
@given(st.lists(writes, max_size=6), st.lists(keys, max_size=5), instants, instants, st.integers(0, 4))
def test_both_stores_give_the_same_answers(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[Write],
    wanted: list[bytes],
    one: int,
    other: int,
    limit: int,
) -> None:
    path = Path(tmp_path_factory.mktemp("rocks")) / "0"
    memory, rocks = MemoryStore(), RocksStore(path, MEMORY)
    for number, change in enumerate(changes):
        memory.write(change)
        rocks.write(change)
        if number == 2:
            rocks.close()
            rocks = RocksStore(path, MEMORY)
        assert rocks.get_many(wanted) == memory.get_many(wanted)
        assert rocks.meta() == memory.meta()
        assert rocks.timers(one, other, limit) == memory.timers(one, other, limit)
        assert rocks.timers(-(1 << 61), 1 << 61, 99) == memory.timers(-(1 << 61), 1 << 61, 99)
        for after in (b"", *wanted):
            assert rocks.scan(after, limit) == memory.scan(after, limit)
    rocks.close()


def test_a_scan_in_pages_meets_every_row_once_in_order(store: RowStore) -> None:
    rows = [(f"user{number:03}".encode(), bytes([number])) for number in range(100)]
    store.write(Write(rows=rows, timers_added=[(5, b"user001")], meta=b"m"))
    found: list[tuple[bytes, bytes]] = []
    while page := store.scan(found[-1][0] if found else b"", 7):
        found.extend(page)
    assert found == rows


def test_due_entries_come_in_order_of_time_within_their_range(store: RowStore) -> None:
    entries = [(-5, b"a"), (-1, b"b"), (0, b"a"), (3, b"a"), (3, b"b"), (9, b"a")]
    store.write(Write(timers_added=list(reversed(entries))))
    assert store.timers(-(1 << 61), 1 << 61, 99) == entries
    assert store.timers(-1, 3, 99) == entries[1:3]
    assert store.timers(-1, 9, 2) == entries[1:3]
    assert store.timers(4, 4, 99) == []
    assert store.timers(-(1 << 61), 9, 0) == []


def test_an_entry_that_is_dropped_and_added_again_is_there_once(store: RowStore) -> None:
    store.write(Write(timers_added=[(1, b"a"), (1, b"a")]))
    store.write(Write(timers_dropped=[(1, b"a")], timers_added=[(1, b"a")]))
    assert store.timers(0, 9, 99) == [(1, b"a")]
    store.write(Write(timers_dropped=[(1, b"a")]))
    store.write(Write(timers_added=[(1, b"a")]))
    assert store.timers(0, 9, 99) == [(1, b"a")]
    store.write(Write(timers_dropped=[(1, b"a"), (7, b"never there")]))
    assert store.timers(0, 9, 99) == []


def test_no_meta_in_a_write_leaves_it_as_it_is(store: RowStore) -> None:
    assert store.meta() is None
    store.write(Write(meta=b"one"))
    store.write(Write(rows=[(b"a", b"1")]))
    assert store.meta() == b"one"


def test_a_missing_key_is_none_in_its_place(store: RowStore) -> None:
    store.write(Write(rows=[(b"a", b"1"), (b"b", b"")]))
    assert store.get_many([b"x", b"a", b"a", b"b", b"m", b"rb"]) == [None, b"1", b"1", b"", None, None]
    assert store.get_many([]) == []


def test_what_is_written_is_there_after_reopening_and_gone_after_wiping(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "0", MEMORY)
    store.write(Write(rows=[(b"a", b"1")], timers_added=[(-3, b"a")], meta=b"m"))
    store.close()
    store = RocksStore(tmp_path / "0", MEMORY)
    assert (store.get_many([b"a"]), store.timers(-9, 9, 9), store.meta()) == ([b"1"], [(-3, b"a")], b"m")
    store.close()
    wipe(tmp_path / "0")
    wipe(tmp_path / "0")
    store = RocksStore(tmp_path / "0", MEMORY)
    assert (store.get_many([b"a"]), store.timers(-9, 9, 9), store.meta()) == ([None], [], None)
    store.close()


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "0", MEMORY)
    with pytest.raises(OverflowError):
        store.write(Write(rows=[(b"a", b"1")], timers_added=[(1 << 80, b"a")], meta=b"m"))
    assert (store.get_many([b"a"]), store.meta()) == ([None], None)
    store.close()


def test_a_store_that_is_opened_again_has_the_cache_and_the_filter_that_it_is_given(tmp_path: Path) -> None:
    for _ in range(2):
        store = RocksStore(tmp_path / "0", RocksMemory.of(32 << 20, 8 << 20))
        assert store._db.property_int_value("rocksdb.block-cache-capacity") == 32 << 20
        assert "filter_policy: bloomfilter" in (tmp_path / "0" / "LOG").read_text()
        store.close()
