from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.time.durations import LONGEST_MS, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("12h", 43_200_000),
        ("7d", 604_800_000),
        ("2w", 1_209_600_000),
        ("36500d", LONGEST_MS),
    ],
)
def test_a_duration_is_an_integer_and_a_unit(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "7 d", " 7d", "7d ", "7d\n", "-7d", "+7d", "1.5h", "7D", "7days", "0s", "000ms", "36501d",
     "9" * 50 + "d", "٣d"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


@given(st.integers(1, LONGEST_MS) | st.integers(1, 36_500).map(lambda days: days * 86_400_000))
def test_what_is_written_reads_back(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


def test_durations_are_written_in_their_largest_whole_unit() -> None:
    assert [format_duration(ms) for ms in (1, 1_500, 90_000, 7_200_000, 1_209_600_000)] == [
        "1ms", "1500ms", "90s", "2h", "14d",
    ]  # fmt: skip
