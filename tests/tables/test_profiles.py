"""Rows in memory over a store: what is staged is seen before it is stored, and the cache stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decide.decide import new_row
from tables.codec import decode_row
from tables.profiles import Profiles, Staged
from tables.store import MemoryStore
from tests.strategies.fuzzing import usual


def put(profiles: Profiles, key: bytes, timer_ms: int | None, local: bool = False) -> Staged:
    """One step that sets the due instant of one row."""
    profiles.age()
    row = profiles.load([key]).get(key)
    due_before = row.timer_ms if row is not None else None
    if row is None:
        row = new_row(0)
        profiles.add(key, row)
    row.timer_ms = timer_ms
    changed = {key: due_before}
    return profiles.stage({}, changed) if local else profiles.stage(changed, {})


def test_a_row_that_is_staged_but_not_stored_is_seen_even_when_the_cache_let_it_go() -> None:
    profiles = Profiles(MemoryStore(), 2)
    staged = put(profiles, b"a", 5)
    for number in range(10):
        profiles.age()
        profiles.load([b"%d" % number])
        profiles.add(b"%d" % number, new_row(0))
    assert profiles.store.get_many([b"a"]) == [None]
    assert profiles.load([b"a"])[b"a"].timer_ms == 5
    profiles.durable(staged)
    assert profiles.unstored_rows == 0
    (value,) = profiles.store.get_many([b"a"])
    assert value is not None
    assert decode_row(value).timer_ms == 5


def test_a_later_stage_survives_the_storing_of_an_earlier_one() -> None:
    profiles = Profiles(MemoryStore(), 2)
    first, second = put(profiles, b"a", 5), put(profiles, b"a", 7)
    profiles.durable(first)
    assert profiles.unstored_keys() == [b"a"]
    for number in range(4):
        profiles.age()
        profiles.load([b"%d" % number])
        profiles.add(b"%d" % number, new_row(0))
    assert profiles.load([b"a"])[b"a"].timer_ms == 7
    profiles.durable(second)
    assert profiles.unstored_keys() == []


def test_due_entries_far_ahead_stay_in_memory_no_longer_than_they_are_unstored() -> None:
    profiles = Profiles(MemoryStore(), 2, 10)
    for number in range(1000):
        profiles.durable(put(profiles, b"%d" % number, 1 << 40))
    assert profiles.timers.in_memory <= 10
    assert len(profiles.timers.due(1 << 41, 2000)) == 1000


def test_the_store_may_stay_behind_but_never_has_what_is_not_durable() -> None:
    profiles = Profiles(MemoryStore(), 2, 2)
    first, second, third = (put(profiles, b"a", due) for due in (5, 7, 9))
    for number, staged in enumerate((first, second)):
        staged.write.meta = b"%d" % number
        profiles.durable(staged)
    profiles.flush()
    (value,) = profiles.store.get_many([b"a"])
    assert value is not None
    assert decode_row(value).timer_ms == 7
    assert profiles.store.meta() == b"1"
    assert profiles.unstored_keys() == [b"a"]
    profiles.durable(third)
    assert profiles.unstored_keys() == [b"a"], "one row may wait"
    profiles.flush(b"end")
    assert (profiles.store.meta(), profiles.unstored_rows) == (b"end", 0)


def test_the_cache_is_bounded() -> None:
    profiles = Profiles(MemoryStore(), 10)
    for number in range(100):
        profiles.durable(put(profiles, b"%d" % number, number))
        assert profiles.cached_rows <= 10
    assert profiles.load([b"0"])[b"0"].timer_ms == 0


def test_local_rows_go_to_the_store_but_not_to_the_changelog() -> None:
    profiles = Profiles(MemoryStore(), 10)
    staged = put(profiles, b"a", 5, local=True)
    assert staged.rows == []
    profiles.durable(staged)
    assert profiles.timers.due(9, 9) == [(5, b"a")]


@pytest.mark.parametrize("where", ["cached", "unstored", "stored"])
def test_reading_gives_a_copy_of_ones_own(where: str) -> None:
    profiles = Profiles(MemoryStore(), 2)
    staged = put(profiles, b"a", 5)
    if where == "stored":
        profiles.durable(staged)
    if where != "cached":
        for number in range(4):
            profiles.load([b"%d" % number])
            profiles.add(b"%d" % number, new_row(0))
    copy = profiles.read(b"a")
    assert copy is not None
    copy.timer_ms, copy.attributes["x"] = 99, 1
    again = profiles.read(b"a")
    assert again is not None
    assert (again.timer_ms, again.attributes) == (5, {})
    assert profiles.load([b"a"])[b"a"].timer_ms == 5
    assert profiles.read(b"nobody") is None


def test_an_entry_added_dropped_and_added_again_in_unstored_steps_is_as_the_last_step_left_it() -> None:
    profiles = Profiles(MemoryStore(), 10)
    steps = [put(profiles, b"a", due) for due in (5, 7, 5, None)]
    for step in steps:
        assert profiles.timers.due(9, 9) == []
        profiles.durable(step)
    assert profiles.timers.due(9, 9) == []


@settings(max_examples=usual(200), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]), st.none() | st.integers(-3, 6), st.booleans(), st.booleans()
        ),
        max_size=25,
    ),
    st.integers(-3, 8),
    st.integers(1, 4),
    st.sampled_from([0, 2, 100]),
)
def test_due_is_what_the_rows_say_however_much_is_stored(
    changes: list[tuple[bytes, int | None, bool, bool]], before_ms: int, limit: int, behind: int
) -> None:
    profiles = Profiles(MemoryStore(), 2, behind)
    waiting: list[Staged] = []
    rows: dict[bytes, int] = {}
    for key, timer_ms, local, store in changes:
        waiting.append(put(profiles, key, timer_ms, local))
        rows.pop(key, None)
        if timer_ms is not None:
            rows[key] = timer_ms
        if store:
            profiles.durable(waiting.pop(0))
        expected = sorted((due, each) for each, due in rows.items() if due < before_ms)
        assert profiles.timers.due(before_ms, limit) == expected[:limit]
    for staged in waiting:
        profiles.durable(staged)
    profiles.flush()
    assert profiles.store.timers(-9, 99, 99) == sorted((due, each) for each, due in rows.items())
    assert profiles.unstored_rows == 0


def test_a_search_for_due_entries_begins_where_the_last_one_was_done() -> None:
    profiles = Profiles(MemoryStore(), 10)
    for key, due in ((b"a", -5), (b"b", 5)):
        profiles.durable(put(profiles, key, due))
    assert profiles.timers.due(0, 9) == [(-5, b"a")]
    profiles.timers.fired_until(0)
    profiles.timers.fired_until(-9)
    assert profiles.timers.due(9, 9) == [(5, b"b")]
