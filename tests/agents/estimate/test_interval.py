"""The interval by itself: known values, and how often it holds the truth."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest

from agents.estimate.frame import SPAN, Frame
from agents.estimate.interval import Sample, Sized

MANY = 10**12


@pytest.mark.parametrize(
    ("found", "sampled", "low", "high"),
    [(81, 263, 0.2535, 0.3682), (15, 148, 0.0598, 0.1644), (0, 20, 0.0, 0.2005), (1, 29, 0.0018, 0.1963)],
)
def test_without_an_end_of_the_population_it_is_newcombes_method_4(
    found: int, sampled: int, low: float, high: float
) -> None:
    """The examples of table I of Newcombe's paper."""
    sized = Sample(MANY, sampled).sized(found)
    assert abs(sized.low / MANY - low) < 1e-4
    assert abs(sized.high / MANY - high) < 1e-4


def test_where_everybody_was_evaluated_it_is_a_point() -> None:
    assert Sample(50, 50, looks=9).sized(7) == Sized(7, 7, 7)
    assert Sample(50, 50).sized(7).is_exact


def test_it_never_says_less_than_was_found_nor_more_than_can_be() -> None:
    for found in range(11):
        sized = Sample(12, 10, looks=5).sized(found)
        assert found <= sized.low <= sized.users <= sized.high <= found + 2


def test_more_looks_make_it_wider_and_more_users_narrower() -> None:
    one, five = Sample(10_000, 1_000).sized(50), Sample(10_000, 1_000, looks=5).sized(50)
    assert five.low < one.low < one.high < five.high
    more = Sample(10_000, 4_000).sized(200)
    assert one.low < more.low < more.high < one.high


def test_a_number_of_users_that_is_itself_estimated_makes_it_wider() -> None:
    counted, judged = Sample(10_000, 1_000).sized(50), Sample(10_000, 1_000, spread=0.02).sized(50)
    assert judged.low < counted.low < counted.high < judged.high


def test_precision_is_relative_to_the_estimate_or_to_another_size() -> None:
    assert Sized(100, 96, 105).is_within(0.05)
    assert not Sized(100, 94, 104).is_within(0.05)
    assert Sized(1, 0, 5).is_within(0.05, of=100)
    assert not Sized(0, 0, 1).is_within(0.05)
    assert Sized(0, 0, 0).is_within(0.05)


@pytest.mark.parametrize(("share", "error"), [(0.01, 0.9), (0.05, 0.3), (0.5, 0.1), (0.97, 0.02)])
def test_whoever_stops_at_the_first_precise_look_is_right_in_95_of_100_runs(
    share: float, error: float
) -> None:
    """1,000 runs: the standard error of 95 % is 0.7 %."""
    users, random, right, stopped = 4_000, Random(share), 0, set[int]()
    members = round(users * share)
    for _ in range(1_000):
        # Who is a member: the places of the rarer kind, in the order in which users are evaluated.
        rarer = sorted(random.sample(range(users), min(members, users - members)))
        for look in (looks := [users >> each for each in (3, 2, 1)]):
            found = bisect_left(rarer, look)
            sized = Sample(users, look, len(looks)).sized(found if share <= 0.5 else look - found)
            if sized.is_within(error):
                break
        stopped.add(look)
        right += sized.low <= members <= sized.high
    assert right / 1_000 >= 0.95 - 0.014
    assert len(stopped) > 1


def test_samples_lie_in_one_another_and_looks_double_them() -> None:
    frame = Frame(seed=3)
    hashes = [frame.hash_of(f"u{each}") for each in range(20_000)]
    looks = frame.looks()
    assert [SPAN // each for each in looks] == [16, 8, 4, 2, 1]
    for look in looks:
        share = sum(each < look for each in hashes) / len(hashes)
        assert share == pytest.approx(look / SPAN, rel=0.08)
    assert frame.looks(exact=True) == [SPAN]
    assert frame.users == 20_000
    assert frame.spread == 0.0


def test_beyond_its_memory_a_frame_judges_how_many_users_there_are() -> None:
    errors = []
    for seed in range(40):
        frame = Frame(seed, most=1_000)
        for each in range(20_000):
            frame.hash_of(f"u{each}")
            frame.hash_of(f"u{each // 2}")
        errors.append(frame.users / 20_000 - 1)
        assert 0.02 < frame.spread < 0.05
    assert sum(abs(each) < 1.96 * 0.045 for each in errors) >= 36
    assert abs(sum(errors)) / 40 < 0.02
