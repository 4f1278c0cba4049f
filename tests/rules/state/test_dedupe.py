"""What a row remembers of applied ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.state.dedupe import DAY_MS, LONGEST_MS, dedupe_of, hash_of, is_repeated, remember
from rules.state.row import Row

T = 1_700_000_000_000
DAY = dedupe_of(DAY_MS, 10)
RUN_MS = 1_350_000
"""A 64th of a day."""


def test_an_id_is_repeated_until_the_window_of_its_run_is_over() -> None:
    row, first_ms = Row(0), T // RUN_MS * RUN_MS
    remember(row, hash_of("e", "a"), first_ms, DAY)
    remember(row, hash_of("e", "b"), first_ms + RUN_MS - 1, DAY)
    remember(row, hash_of("e", "c"), first_ms + RUN_MS, DAY)
    for name in "ab":
        assert is_repeated(row, hash_of("e", name), first_ms + RUN_MS, DAY)
        assert is_repeated(row, hash_of("e", name), first_ms + RUN_MS + DAY_MS - 1, DAY)
        assert not is_repeated(row, hash_of("e", name), first_ms + RUN_MS + DAY_MS, DAY)
    assert is_repeated(row, hash_of("e", "c"), first_ms + RUN_MS + DAY_MS, DAY)
    assert not is_repeated(row, hash_of("e", "d"), first_ms + RUN_MS, DAY)


def test_of_too_many_ids_the_oldest_go_and_are_counted() -> None:
    row, three = Row(0), dedupe_of(1000, 3)
    gone = sum(remember(row, hash_of("e", str(number)), T + number, three) for number in range(5))
    assert gone == 2
    found = [is_repeated(row, hash_of("e", str(each)), T + 5, three) for each in range(5)]
    assert found == [False, False, True, True, True]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 4000) | st.just(LONGEST_MS // 3)), max_size=30
    ),
    st.sampled_from([1, 2000, 500_000, LONGEST_MS]),
)
def test_it_tells_what_a_list_of_everything_tells(steps: list[tuple[str, int]], window_ms: int) -> None:
    row, now_ms, forgotten = Row(0), T - LONGEST_MS, dict[str, int]()
    run_ms, dedupe = max(1000, window_ms // 64000 * 1000), dedupe_of(window_ms, 1000)
    for name, later_ms in steps:
        now_ms += later_ms
        expected = now_ms < forgotten.get(name, 0)
        assert is_repeated(row, hash_of("e", name), now_ms, dedupe) == expected
        if not expected:
            forgotten[name] = now_ms - now_ms % run_ms + run_ms + window_ms
            assert not remember(row, hash_of("e", name), now_ms, dedupe)
            assert len(row.seen) == 6 * sum(now_ms < each for each in forgotten.values())
            assert len(row.seen_at) <= 2 * 66


@given(
    st.lists(st.tuples(st.integers(1, 2 * DAY_MS), st.sampled_from([1000, DAY_MS, 3 * DAY_MS])), max_size=20)
)
def test_no_id_is_forgotten_early_though_the_window_changes(steps: list[tuple[int, int]]) -> None:
    row, now_ms, applied = Row(0), T, list[int]()
    for later_ms, window_ms in steps:
        now_ms += later_ms
        dedupe = dedupe_of(window_ms, 1000)
        for number, applied_ms in enumerate(applied):
            # Those that a shorter window has dropped meanwhile are gone.
            if is_repeated(row, hash_of("e", str(number)), now_ms, dedupe):
                assert now_ms - applied_ms < window_ms + max(1000, 3 * DAY_MS // 64)
        remember(row, hash_of("e", str(len(applied))), now_ms, dedupe)
        applied.append(now_ms)
        assert is_repeated(row, hash_of("e", str(len(applied) - 1)), now_ms + window_ms - 1, dedupe)
        assert sum(row.seen_at[1::2]) * 6 == len(row.seen)


def test_ids_are_told_apart_by_the_names_of_their_events() -> None:
    pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("b", "a"), ("1:a", "b"), ("a", "1:b"), ("a\0", "b")]
    assert len({hash_of(event, record_id) for event, record_id in pairs}) == len(pairs)
