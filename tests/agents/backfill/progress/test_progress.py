"""Progress of versions: what readers believe of the topic, and the partitions put together."""

from __future__ import annotations

import itertools

import pytest

from agents.backfill.progress.progress import (
    Progress,
    ProgressKey,
    ProgressOfVersions,
    State,
    encode_key,
    encode_progress,
    follows,
    is_held,
    state_of,
)
from agents.kafka.consumed import Consumed

KEY = ProgressKey("default", "fans", 3, 1)
ORDER: list[State] = ["pending", "replaying", "held", "cut", "ready"]


def take(registry: ProgressOfVersions, key: bytes | None, value: bytes | None) -> bool:
    return registry.take(Consumed(registry.topic, 0, 0, 0, key, value, []))


def taken(*progress: Progress) -> ProgressOfVersions:
    registry = ProgressOfVersions("t.progress")
    for each in progress:
        assert take(registry, encode_key(KEY), encode_progress(each))
    return registry


@pytest.mark.parametrize(("before", "after"), [*itertools.product(ORDER, ORDER)])
def test_a_state_never_goes_back(before: State, after: State) -> None:
    believed = taken(Progress(before), Progress(after)).published[KEY].state
    assert believed == max(before, after, key=ORDER.index)


def test_within_a_state_the_later_figures_hold() -> None:
    registry = taken(Progress("replaying", 5, 10), Progress("replaying", 7, 12, at_ms=1))
    assert registry.published[KEY] == Progress("replaying", 7, 12, at_ms=1)


def test_figures_that_a_later_record_does_not_give_stay() -> None:
    counted = Progress("replaying", enters=4, exits=0, members=9)
    registry = taken(Progress("replaying", 5, 10), counted, Progress("replaying", 7, 12))
    assert registry.published[KEY] == Progress("replaying", 7, 12, enters=4, exits=0, members=9)
    assert taken(counted, Progress("held", reason="x")).published[KEY].enters == 4
    assert taken(counted, Progress("failed"), Progress("replaying")).published[KEY] == Progress("replaying")


@pytest.mark.parametrize("state", ORDER)
def test_a_failure_ends_a_computation_but_no_cut_and_may_be_tried_again(state: State) -> None:
    assert follows(Progress(state), Progress("failed")) == (state in ("pending", "replaying", "held"))
    assert follows(Progress("failed"), Progress(state))


def test_a_record_says_all_that_it_was_made_of() -> None:
    told = Progress("held", 3, 4, 5_000, 6, 7, 8, "40 % of the members would change", 9)
    registry = taken(told)
    assert registry.published == {KEY: told}
    assert registry.of("default", "fans", 3) == {1: told}
    assert registry.versions_of("default", "fans") == [3]
    assert list(registry) == [("default", "fans", 3)]
    assert take(registry, encode_key(KEY), None)
    assert (registry.published, list(registry)) == ({}, [])


@pytest.mark.parametrize(
    "key", [b"", b"default/fans", b"default/fans/3", b"default/fans/x/1", b"a/b/1/2/3", b"\xff"]
)
def test_a_record_with_another_key_is_told_and_passed_by(key: bytes) -> None:
    registry = ProgressOfVersions("t.progress")
    assert not take(registry, key, encode_progress(Progress("ready")))
    assert not registry.published
    assert len(registry.unusable) == 1


def test_a_state_of_a_later_program_leaves_what_was_known() -> None:
    registry = taken(Progress("cut"))
    assert not take(registry, encode_key(KEY), b'{"state":"dancing"}')
    assert registry.published == {KEY: Progress("cut")}
    assert registry.of("default", "fans", 3) == {1: Progress("cut")}


@pytest.mark.parametrize(
    ("states", "together"),
    [
        ([], "pending"),
        (["pending", "pending"], "pending"),
        (["replaying"], "replaying"),
        (["cut"], "replaying"),
        (["ready"], "replaying"),
        (["pending", "ready"], "replaying"),
        (["replaying", "held"], "held"),
        (["cut", "held"], "held"),
        (["failed", "ready"], "failed"),
        (["cut", "cut"], "cut"),
        (["cut", "ready"], "cut"),
        (["ready", "ready"], "ready"),
    ],
)
def test_a_version_is_as_far_as_its_last_partition(states: list[State], together: State) -> None:
    version = state_of({at: Progress(each) for at, each in enumerate(states)}, 2)
    assert version.state == together
    assert version.is_ready == (together == "ready")


def test_partitions_beyond_the_table_do_not_count() -> None:
    assert state_of({0: Progress("ready"), 1: Progress("replaying")}, 1).is_ready


def test_figures_of_the_partitions_are_put_together() -> None:
    records = {
        0: Progress("replaying", 50, 100, 7_000, reason="waits for live records"),
        1: Progress("cut", 10, 1000, 9_000, 5, 6, 40),
        2: Progress("ready", 0, 0, None, 1, 2, 60),
        3: Progress("replaying", 200, 100),
    }
    version = state_of(records, 5)
    assert version.progress == pytest.approx((0.5 + 1 + 1 + 1 + 0) / 5)
    assert (version.enters, version.exits, version.members) == (6, 8, 100)
    assert (version.cut, version.partitions, version.history_from_ms) == (2, 5, 9_000)
    assert not version.is_counted
    assert version.reason == "waits for live records"


@pytest.mark.parametrize(
    ("enters", "exits", "members", "held"),
    [
        (10, 10, 100, False),
        (21, 0, 100, True),
        (0, 21, 100, True),
        (11, 10, 100, True),
        (0, 0, 0, False),
        (1, 0, 0, True),
    ],
)
def test_an_edit_is_held_above_the_share_of_the_members_that_may_change(
    enters: int, exits: int, members: int, held: bool
) -> None:
    half = Progress("replaying", enters=0, exits=0)
    version = state_of({0: half, 1: Progress("replaying", enters=enters, exits=exits, members=members)}, 2)
    assert version.is_counted
    assert is_held(version, 20, released=False) == held
    assert not is_held(version, 20, released=True)


def test_a_partition_that_is_cut_without_counting_keeps_no_other_one_waiting() -> None:
    """It had no version before this one, so there was no member to lose."""
    counted = Progress("replaying", enters=1, exits=0, members=9)
    assert not state_of({0: counted, 1: Progress("cut")}, 2).waits_for_counts
    assert state_of({0: counted, 1: Progress("replaying")}, 2).waits_for_counts


def test_a_version_decides_once_all_partitions_are_cut_and_until_a_later_one_is_cut_in_some() -> None:
    registry = ProgressOfVersions("t.progress")

    def tell(version: int, partition: int, state: State) -> list[tuple[str, str, int]]:
        key = ProgressKey("default", "fans", version, partition)
        assert take(registry, encode_key(key), encode_progress(Progress(state)))
        return list(registry.deciding(2))

    assert tell(1, 0, "ready") == []
    assert tell(1, 1, "cut") == [("default", "fans", 1)]
    assert tell(2, 0, "held") == [("default", "fans", 1)]
    assert tell(2, 0, "cut") == []
    assert tell(2, 1, "cut") == [("default", "fans", 2)]
