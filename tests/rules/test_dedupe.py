"""What a row remembers of applied ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.dedupe import LONGEST_MS, hash_of, is_repeated, remember

T = 1_700_000_000_000


def test_an_id_is_repeated_until_the_window_is_over() -> None:
    seen, _ = remember(b"", hash_of("a"), T, 100, 10)
    assert is_repeated(seen, hash_of("a"), T, 100)
    assert is_repeated(seen, hash_of("a"), T + 99, 100)
    assert not is_repeated(seen, hash_of("a"), T + 100, 100)
    assert not is_repeated(seen, hash_of("b"), T, 100)


def test_of_too_many_ids_the_oldest_go_and_are_counted() -> None:
    seen, gone = b"", 0
    for number in range(5):
        seen, dropped = remember(seen, hash_of(str(number)), T + number, 1000, 3)
        gone += dropped
    assert gone == 2
    found = [is_repeated(seen, hash_of(str(each)), T + 5, 1000) for each in range(5)]
    assert found == [False, False, True, True, True]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 40) | st.just(LONGEST_MS // 3)), max_size=30),
    st.sampled_from([1, 20, 50, LONGEST_MS]),
)
def test_it_tells_what_a_list_of_everything_tells(steps: list[tuple[str, int]], window_ms: int) -> None:
    seen, now_ms, applied = b"", T - LONGEST_MS, dict[str, int]()
    for name, later_ms in steps:
        now_ms += later_ms
        expected = name in applied and now_ms - applied[name] < window_ms
        assert is_repeated(seen, hash_of(name), now_ms, window_ms) == expected
        if not expected:
            applied[name] = now_ms
            seen, dropped = remember(seen, hash_of(name), now_ms, window_ms, 1000)
            assert not dropped
            live = sum(now_ms - each < window_ms for each in applied.values())
            assert len(seen) == 8 + 12 * live
