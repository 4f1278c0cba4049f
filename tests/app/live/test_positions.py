"""What ``Last-Event-ID`` says, and when nobody can go on from there."""

from __future__ import annotations

import pytest

from app.http.api_keys import ANYBODY, Caller
from app.http.problems import HttpProblem
from app.live.places import Places
from app.live.positions import read, shown


def test_a_position_is_read_as_it_is_shown() -> None:
    position = {0: 12, 1: 0, 2: 7}
    assert shown(position) == "12.0.7"
    assert read("12.0.7", {0: 0, 1: 0, 2: 7}, {0: 12, 1: 5, 2: 9}) == position


def test_partitions_that_came_later_are_read_from_their_begin() -> None:
    assert read("3", {0: 0, 1: 0}, {0: 5, 1: 4}) == {0: 3, 1: 0}


@pytest.mark.parametrize("text", ["x", "1.", ".1", "1..2", "-1", "1 ", "٣", "9" * 19, "1." * 10_001 + "1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        read(text, {0: 0}, {0: 5})
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "why"), [("1", "begins at 2, after 1"), ("6", "ends at 5, before 6"), ("3.0", "is no more")]
)
def test_what_is_gone_is_said(text: str, why: str) -> None:
    with pytest.raises(HttpProblem, match=why) as gone:
        read(text, {0: 2}, {0: 5})
    assert gone.value.status == 410


def test_a_key_has_so_many_places_and_a_process_too_and_those_that_end_are_free_again() -> None:
    places = Places(most=3, most_of_a_key=2)
    other = Caller("other", frozenset(), frozenset())
    with places.one_for(ANYBODY), places.one_for(other):
        with places.one_for(ANYBODY), pytest.raises(HttpProblem, match="a key may have") as of_key:
            places.one_for(ANYBODY).__enter__()
        with places.one_for(other), pytest.raises(HttpProblem, match="serves 3 live feeds") as of_all:
            places.one_for(ANYBODY).__enter__()
        assert of_key.value.status == of_all.value.status == 429
        assert of_key.value.headers["Retry-After"]
        assert places.taken == 2
    assert places.taken == 0
