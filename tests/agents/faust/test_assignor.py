"""Whatever numbers of partitions topics have: a source partition goes where the rows of its users are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor.partition_assignor import PartitionAssignor

from agents.faust.app import worker_app
from agents.faust.assignor import Assignor, SourceWithoutRows
from agents.faust.hooks import Hooks
from agents.kafka.broker import Broker
from agents.warnings import Warnings
from tests.strategies.fuzzing import usual

TABLE = 4
CHANGELOG = "app-profiles-changelog"
Given = dict[str, set[tuple[str, int]]]


async def nothing(*_: Any) -> None:
    """No rows, no records."""


def made(
    folder: Path, name: str, kind: type[PartitionAssignor] = Assignor, standbys: int = 0, table: int = TABLE
) -> Any:
    """The assignor of a worker that isn't started."""
    app = worker_app(
        app_id="app",
        broker=Broker("localhost:1"),
        instance_id=None,
        data_dir=str(folder),
        advertised_url=f"http://{name}",
        sources=["events"],
        table="profiles",
        partitions=table,
        standbys=standbys,
        poll_records=1,
        hooks=Hooks(take=nothing, restore=nothing, hand_over=nothing, rebalancing_began=lambda: None),
        warnings=Warnings(),
    )
    return kind(app)


class Group:
    """Members by name, and what they were given last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members: dict[str, Any] = {}
        self.subscribed: dict[str, list[str]] = {}

    def join(self, name: str, *sources: str, kind: type[PartitionAssignor] = Assignor) -> None:
        self.members[name] = made(self.folder, name, kind)
        self.subscribed[name] = [*sources, CHANGELOG]

    def warnings(self, name: str) -> list[tuple[str, str]]:
        """Place, and text up to the comma."""
        active = self.members[name].app.warnings.active()
        return [(each.place, each.text.partition(", because")[0]) for each in active]

    def rebalance(self, counts: Mapping[str, int], leader: str | None = None) -> Given:
        cluster: Any = SimpleNamespace(
            partitions_for_topic=lambda topic: set(range((counts | {CHANGELOG: TABLE}).get(topic, 0))) or None
        )
        metadata = {
            name: decoded(ConsumerProtocolMemberMetadata, member.metadata(set(self.subscribed[name])))
            for name, member in self.members.items()
        }
        given = self.members[leader or min(self.members)].assign(cluster, metadata)
        for name, member in self.members.items():
            member.on_assignment(decoded(ConsumerProtocolMemberAssignment, given[name]))
        return {
            name: {(topic, each) for topic, partitions in assignment.assignment for each in partitions}
            for name, assignment in given.items()
        }


def decoded(kind: Any, value: Any) -> Any:
    """As it comes out of Kafka."""
    return kind.decode(value.encode())


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


def all_of(counts: Mapping[str, int]) -> set[tuple[str, int]]:
    return {(topic, each) for topic, count in counts.items() for each in range(count)}


@pytest.mark.parametrize("seed", range(usual(20)))
def test_a_source_partition_goes_to_the_holder_of_its_rows(group: Group, seed: int) -> None:
    random = Random(seed)
    counts = {name: random.choice([1, 2, 3, 4, 7, 12]) for name in ("a", "b", "rekeyed")}
    for _ in range(8):
        name = f"w{random.randrange(5)}"
        if name not in group.members:
            group.join(name, *counts)
        elif len(group.members) > 1:
            del group.members[name]
        grown = random.choice(list(counts))
        counts[grown] += random.choice([0, 0, 1, 5])
        given = group.rebalance(counts, random.choice(list(group.members)))
        assert sum(map(len, given.values())) == sum(counts.values()) + TABLE
        assert set().union(*given.values()) == all_of(counts | {CHANGELOG: TABLE})
        rows = [sum(topic == CHANGELOG for topic, _ in each) for each in given.values()]
        assert max(rows) - min(rows) <= 1
        for each in given.values():
            for topic, partition in each:
                assert (CHANGELOG, partition % TABLE) in each, (topic, partition)
        for member in group.members.values():
            assert set(member.sources()) == member.held()


def test_added_partitions_move_no_rows(group: Group) -> None:
    for name in ("w1", "w2"):
        group.join(name, "events")
    before = group.rebalance({"events": 4})
    after = group.rebalance({"events": 12})
    assert all(before[name] < after[name] for name in before)
    assert len(after["w1"]) == len(after["w2"]) == 6 + 2


def test_a_topic_that_a_holder_does_not_read_yet_waits_for_it(group: Group) -> None:
    """While workers get another ``topics.events`` one by one."""
    group.join("w1", "events", "more")
    group.join("w2", "events")
    given = group.rebalance({"events": 4, "more": 4})
    assert {each for topic, each in given["w1"] if topic == "more"} == group.members["w1"].held()
    assert not any(topic == "more" for topic, _ in given["w2"])
    waiting = sorted(group.members["w2"].held())
    assert group.warnings("w1") == [("more", f"no worker reads the partitions {waiting} of more yet")]
    del group.members["w2"]
    group.join("w2", "events", "more")
    group.rebalance({"events": 4, "more": 4})
    assert group.warnings("w1") == []


def test_a_topic_that_is_missing_is_given_to_nobody(group: Group) -> None:
    group.join("w1", "events", "gone")
    assert group.rebalance({"events": 4})["w1"] == all_of({"events": 4, CHANGELOG: TABLE})


def test_members_of_an_older_version_get_what_they_can_apply(group: Group) -> None:
    group.join("new", "events")
    group.join("old", "events", kind=PartitionAssignor)
    given = group.rebalance({"events": 12}, leader="new")
    rows = {each for topic, each in given["old"] if topic == CHANGELOG}
    assert {each for topic, each in given["old"] if topic == "events"} == rows
    assert len(given["new"]) == 2 + 6
    waiting = [each for each in range(4, 12) if each % TABLE in rows]
    assert group.warnings("new") == [("events", f"no worker reads the partitions {waiting} of events yet")]


def test_an_older_leader_does_as_well_while_all_topics_have_one_number(group: Group) -> None:
    group.join("new", "events", "rekeyed")
    group.join("old", "events", "rekeyed", kind=PartitionAssignor)
    given = group.rebalance({"events": 4, "rekeyed": 4}, leader="old")
    member = group.members["new"]
    assert all_of({"events": 4, "rekeyed": 4, CHANGELOG: TABLE}) == given["new"] | given["old"]
    assert set(member.sources()) == member.held()


def test_records_that_an_older_leader_gives_without_their_rows_are_not_read(group: Group) -> None:
    group.join("a", "events")
    group.join("b", "events")
    group.join("old", "events", kind=PartitionAssignor)
    group.rebalance({"events": 12}, leader="old")
    with pytest.raises(SourceWithoutRows, match=r"events/\d+.*but not the rows.*Upgrade all workers"):
        group.members["a"].sources()
