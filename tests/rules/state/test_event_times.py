"""Event times that a row keeps once, and the characters that name them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.decide.decide import apply_event, new_row
from rules.parse.definitions import load_definitions
from rules.state.event_times import NEAR_MS, SPARE, EventTimes, collect, instants, reference, references
from rules.state.row import Membership, Row
from tables.codec import decode_row, encode_row

T = 1_700_000_000_000

times = st.lists(st.integers(T - 50, T + 50) | st.integers(-(2**62), 2**62), max_size=12)


@given(times, times, st.lists(st.text(max_size=3)), st.integers(T - 9, T + 9), times)
def test_collecting_changes_no_time_that_a_state_names_and_keeps_no_other(
    one: list[int], other: list[int], values: list[str], since_ms: int, later: list[int]
) -> None:
    row = Row(now_ms=T, base_ms=T)
    row.audiences[7] = Membership(1, since_ms - T, 1)
    references(row, [T + 1, T + 2, T + 3])
    row.conditions = {1: references(row, sorted(one)), 2: [references(row, sorted(other)), [1, 2]], 3: [3]}
    row.conditions[4] = values  # values aren't references, whatever they look like
    for added in ([], later):
        collect(row)
        for each in added:
            assert instants(row, reference(row, each)) == [each]
        row = decode_row(encode_row(row))
        assert instants(row, row.conditions[1]) == sorted(one)
        assert instants(row, row.conditions[2][0]) == sorted(other)
        assert (row.conditions[2][1], row.conditions[3], row.conditions[4]) == ([1, 2], [3], values)
        assert row.since_ms(row.audiences[7]) == since_ms
        assert row.used <= len(one) + len(other) + 1
        assert len(row.times) <= len(one) + len(other) + 4 + len(added)


@given(times, st.integers(T - 60, T + 60))
def test_a_place_is_how_many_are_no_later(one: list[int], at_ms: int) -> None:
    row = Row(now_ms=T, base_ms=T)
    times = EventTimes(row, references(row, sorted(one)))
    assert times.up_to(at_ms) == sum(each <= at_ms for each in one)


def test_events_of_one_time_have_one_reference() -> None:
    row = Row(now_ms=T, base_ms=T)
    assert reference(row, T + 5) == reference(row, T + 5)
    assert row.times == [0, 5]


def test_so_many_times_that_the_characters_end_are_stored_and_read_back() -> None:
    row = Row(now_ms=T, base_ms=T)
    row.conditions[1] = references(row, range(T, T + 0xE000))
    for _ in range(2):
        row = decode_row(encode_row(row))
        assert instants(row, row.conditions[1]) == list(range(T, T + 0xE000))
        collect(row)
        row.conditions[1] += reference(row, T + 0xE000)
        assert instants(row, row.conditions[1][-1]) == [T + 0xE000]
        row.conditions[1] = row.conditions[1][:-1]


def test_a_long_life_leaves_no_more_times_than_are_in_use_and_some_to_spare() -> None:
    text = "{id: a, name: A, rule: {event: e, count: {gte: 5}, within: 1h}}"
    rules = compile_rules([PublishedAudience(each, 1) for each in load_definitions([("a.yaml", text)])])
    row = new_row(T)
    for number in range(1000):
        at_ms = T + number * 1000
        apply_event(rules.project("default"), "u", row, "e", None, at_ms, {}, at_ms, number > 0, [])
        assert len(row.times) <= 5 + 1 + SPARE


def test_times_count_from_a_later_base_when_they_have_gone_far() -> None:
    text = "{id: a, name: A, rule: {event: e, count: {gte: 2}, within: 60d}}"
    rules = compile_rules([PublishedAudience(each, 1) for each in load_definitions([("a.yaml", text)])])
    row = new_row(T)
    for number in range(100):
        at_ms = T + number * NEAR_MS // 10
        apply_event(rules.project("default"), "u", row, "e", None, at_ms, {}, at_ms, number > 0, [])
        (state,) = row.conditions.values()
        assert instants(row, state)[-1] == at_ms
        assert max(map(abs, row.times)) < 4 * NEAR_MS
    assert [row.since_ms(each) for each in row.audiences.values()] == [T + NEAR_MS // 10]
