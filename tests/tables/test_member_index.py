"""The index of members says what the rows say, stored or staged, at every moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.state.row import Row
from tables.changelog.reader import ChangelogReader
from tables.codec import encode_row
from tables.member_index import count_rows, index_rows
from tables.meta import StoreMeta, decode_meta
from tables.profiles import Profiles, Staged
from tables.store import MemoryStore, RocksMemory, RocksStore, RowStore, Write
from tests.strategies.fuzzing import usual

MEMORY = RocksMemory.of(8 << 20, 8 << 20)
A, B = 7, 0xFFFF_FFFF
AUDIENCES = (A, B)


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RowStore:
    return MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "p" / "0", MEMORY)


def row(*inside: int, left: tuple[int, ...] = ()) -> Row:
    made = Row(now_ms=5, base_ms=5)
    for key in inside:
        made.turn(key, 1, 5)
    for key in left:
        made.turn(key, 1, 5)
        made.turn(key, 1, 6)
    return made


def turn(profiles: Profiles, *turns: tuple[bytes, int]) -> Staged:
    """A step in which users enter an audience or leave it."""
    profiles.age()
    rows = profiles.load([key for key, _ in turns])
    changed: dict[bytes, int | None] = {}
    for key, audience in turns:
        if key not in rows:
            profiles.add(key, Row(now_ms=0))
        rows[key].turn(audience, 1, 0)
        changed[key] = None
    return profiles.stage(changed, {}, turned=changed)


def test_staged_members_are_seen_and_their_order_is_that_of_the_keys(store: RowStore) -> None:
    profiles = Profiles(store, 100)
    profiles.durable(turn(profiles, (b"b", A), (b"d", A), (b"f", B)))
    staged = turn(profiles, (b"a", A), (b"c", A), (b"b", A))
    for is_stored in (False, True):
        if is_stored:
            profiles.durable(staged)
        assert profiles.members.sizes == {A: 3, B: 1}
        assert profiles.members.page(A, b"", 10) == [b"a", b"c", b"d"]
        assert profiles.members.page(A, b"", 2) == [b"a", b"c"]
        assert profiles.members.page(A, b"a", 1) == [b"c"]
        assert profiles.members.page(A, b"d", 5) == []
    assert store.sizes() == {A: 3, B: 1}


def test_a_row_that_is_put_back_or_forgotten_leaves_no_entry(store: RowStore) -> None:
    profiles = Profiles(store, 100)
    profiles.durable(turn(profiles, (b"a", A)))
    before = profiles.read_encoded(b"a")
    profiles.load([b"a"])[b"a"].turn(B, 1, 0)
    profiles.put_back(b"a", before)
    profiles.load([b"a"])[b"a"].now_ms = 9
    profiles.durable(profiles.stage({b"a": None}, {}, turned=[b"a", b"b"]))
    profiles.load([b"a"])[b"a"].turn(B, 1, 0)
    profiles.forget([b"a"])
    profiles.load([b"a"])[b"a"].now_ms = 10
    profiles.durable(profiles.stage({b"a": None}, {}, turned=[b"a"]))
    assert profiles.members.sizes == store.sizes() == {A: 1}


def test_a_first_row_that_comes_with_memberships_is_indexed_without_a_word(store: RowStore) -> None:
    """As of a user of whom only the history knows: no transition tells of them."""
    profiles = Profiles(store, 100)
    profiles.add(b"a", row(A, left=(B,)))
    profiles.durable(profiles.stage({b"a": None}, {}))
    assert profiles.members.sizes == store.sizes() == {A: 1}


def test_what_lookups_read_stays_nowhere(store: RowStore) -> None:
    """Otherwise a list of all members would bring all of them into memory."""
    profiles = Profiles(store, 4)
    for number in range(20):
        profiles.durable(turn(profiles, (b"%d" % number, A)))
    held = len(profiles.members._inside)
    assert len(profiles.read_many([b"%d" % number for number in range(20)])) == 20
    assert len(profiles.members._inside) == held <= 8


def test_who_enters_and_leaves_between_two_writes_is_not_counted(store: RowStore) -> None:
    profiles = Profiles(store, 100, behind_rows=100)
    profiles.durable(turn(profiles, (b"a", A)), turn(profiles, (b"a", A)), turn(profiles, (b"b", A)))
    assert profiles.members.page(A, b"", 10) == [b"b"]
    profiles.flush()
    assert profiles.members.page(A, b"", 10) == store.members(A, b"", 10) == [b"b"]
    assert store.sizes() == {A: 1}


steps = st.lists(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"ab", b"b", b"\0p\0a", b"c"]), st.sampled_from(AUDIENCES)),
        min_size=1,
        max_size=3,
    ),
    max_size=12,
)


@settings(max_examples=usual(60), deadline=None)
@given(steps, st.integers(1, 4), st.integers(0, 6), st.integers(0, 3), st.sampled_from([b"", b"a", b"b"]))
def test_pages_and_sizes_are_those_of_the_rows(
    history: list[list[tuple[bytes, int]]], cache_rows: int, behind_rows: int, late: int, after: bytes
) -> None:
    store = MemoryStore()
    profiles = Profiles(store, cache_rows, behind_rows)
    waiting: list[Staged] = []
    inside: set[tuple[int, bytes]] = set()
    for turns in history:
        for key, audience in turns:
            inside ^= {(audience, key)}
        waiting.append(turn(profiles, *turns))
        if len(waiting) > late:
            profiles.durable(waiting.pop(0))
        for audience in AUDIENCES:
            them = sorted(key for of, key in inside if of == audience)
            assert profiles.members.sizes.get(audience, 0) == len(them)
            above = [key for key in them if key > after]
            for limit in (1, 2, 9):
                assert profiles.members.page(audience, after, limit) == above[:limit]
        assert store.sizes() == count_rows(store)
    profiles.durable(*waiting)
    profiles.flush()
    assert store.sizes() == count_rows(store)
    assert {key: size for key, size in profiles.members.sizes.items() if size} == store.sizes()


class Logged:
    def __init__(self, offset: int, key: bytes, value: Row | None) -> None:
        self.offset, self.key, self.headers = offset, key, ()
        self.value = None if value is None else encode_row(value)


def test_rows_that_a_changelog_has_several_times_leave_the_entries_of_the_last(store: RowStore) -> None:
    reader = ChangelogReader()
    for records in (
        [
            Logged(0, b"a", row(A)),
            Logged(1, b"a", row(A, B)),
            Logged(2, b"b", row(B)),
            Logged(3, b"c", row(B)),
        ],
        [Logged(4, b"a", row(B, left=(A,))), Logged(5, b"c", None), Logged(6, b"d", row())],
        [Logged(7, b"d", row(A)), Logged(8, b"a", row(B, left=(A,)))],
    ):
        store.write(reader.read(records, store.get_many))
    assert store.sizes() == count_rows(store) == {A: 1, B: 2}
    assert store.members(A, b"", 9) == [b"d"]
    assert store.members(B, b"", 9) == [b"a", b"b"]


def test_a_store_that_an_older_program_wrote_is_indexed_from_its_rows(store: RowStore) -> None:
    """Whatever is left of an index from before; and cut short it is begun anew."""
    rows = [(b"%05d" % each, encode_row(row(A) if each % 2 else row(B))) for each in range(4_100)]
    store.write(Write(rows=rows, members_added=[(A, b"gone"), (B, b"00001")]))
    meta = StoreMeta(3, b"x", b"id")
    assert not meta.is_indexed
    next(index_rows(store, meta))
    assert store.meta() is None
    assert list(index_rows(store, meta)) == [2_000, 2_000, 100]
    assert decode_meta(store.meta() or b"") == meta.indexed()
    assert store.sizes() == count_rows(store) == {A: 2_050, B: 2_050}
    assert store.members(A, b"", 2) == [b"00001", b"00003"]


def test_sizes_outlive_the_process(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "0", MEMORY)
    store.write(Write(rows=[(b"a", encode_row(row(A, B)))], members_added=[(A, b"a"), (B, b"a")]))
    store.write(Write(members_dropped=[(B, b"a")]))
    store.close()
    store = RocksStore(tmp_path / "0", MEMORY)
    assert store.sizes() == {A: 1}
    store.close()
