"""Standbys: every partition has its copies elsewhere, and what a worker leaves goes to who has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.faust.standbys import promoted, standbys_of
from tests.agents.faust.test_assignor import CHANGELOG, TABLE, Group, made

HELD = {"http://a": {0, 3, 6}, "http://b": {1, 4, 7}, "http://c": {2, 5, 8}}


@pytest.mark.parametrize("copies", [0, 1, 2, 5])
def test_each_partition_has_its_copies_on_others_than_its_owner(copies: int) -> None:
    found = standbys_of(HELD, copies)
    for url, owned in HELD.items():
        assert found[url].isdisjoint(owned)
    for partition in range(9):
        assert sum(partition in each for each in found.values()) == min(copies, 2)


def test_what_one_worker_owns_is_spread_over_all_others() -> None:
    found = standbys_of(HELD, 1)
    assert found["http://b"] & HELD["http://a"]
    assert found["http://c"] & HELD["http://a"]


def test_what_a_worker_leaves_goes_to_who_has_a_standby() -> None:
    left = {url: set(each) for url, each in HELD.items() if url != "http://a"}
    found = promoted(left, HELD, 9, 1)
    standbys = standbys_of(HELD, 1)
    for url, each in found.items():
        assert each - left[url] <= standbys[url]
    assert set().union(*found.values()) == set(range(9))
    assert max(map(len, found.values())) <= 5


def test_a_group_gives_partitions_to_their_standbys_when_a_worker_is_gone(tmp_path: Path) -> None:
    group = Group(tmp_path)
    for name in ("one", "two", "six"):
        group.members[name] = made(tmp_path, name, standbys=1)
        group.subscribed[name] = ["events", CHANGELOG]
    group.rebalance({"events": TABLE})
    held = {name: member.held() for name, member in group.members.items()}
    kept = {name: member.standbys() for name, member in group.members.items()}
    assert all(kept[name].isdisjoint(held[name]) for name in held)
    assert sorted(each for those in kept.values() for each in those) == list(range(TABLE))
    gone = max(held, key=lambda name: len(held[name]))
    del group.members[gone]
    given = group.rebalance({"events": TABLE})
    for name, member in group.members.items():
        assert held[name] <= member.held(), "who stays keeps what it has"
        assert member.held() - held[name] <= kept[name], "and gets what it has a standby of"
        assert {each for topic, each in given[name] if topic == "events"} == member.held()
