"""Which worker reads what: the table's partitions are shared out, and each source partition follows one.

Faust's own assignor puts topics together that have the same number of partitions. When a source topic has
another number, as it has when partitions were added to it, its partitions would go to workers that don't
hold the rows. Here only the table's partitions are shared out (by Faust's own rules, which let a worker
keep what it holds), and a partition of any other topic goes to the holder of ``table_partition``.

The group's leader decides for all. While workers are upgraded one by one, members of two versions meet:

- a new leader gives old members no source partition beyond the table's, because they would read its records
  and apply none; they wait in Kafka for the upgrade. All else is as in the old version.
- an old leader gives what a new one would give as long as all topics have the same number of partitions. When
  one of them has another number, a new member gets records without their rows, and ends with
  ``SourceWithoutRows`` before it reads one; it is started again until the old leader is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata, CopartitionedAssignment
from faust.assignor.copartitioned_assignor import CopartitionedAssignor
from faust.assignor.partition_assignor import (
    MemberAssignmentMapping,
    MemberMetadataMapping,
    PartitionAssignor,
)
from faust.types import TP
from faust.types.assignor import HostToPartitionMap

from agents.faust.standbys import promoted, standbys_of
from agents.kafka.placement import table_partition
from agents.warnings import Warnings

log = structlog.get_logger("turnstile.assignor")

ANY_COUNT_VERSION = 5
"""Members of at least this version know source partitions beyond the table's. Faust's assignor has 4."""
WAITING = "partitions_wait"
"""The code of the warning that source partitions are read by nobody until all workers are upgraded."""


class SourceWithoutRows(Exception):
    """This worker was given source partitions, but not the rows of their users."""


class Assignor(PartitionAssignor):
    """Faust's assignor for one table, of an ``agents.faust.app.WorkerApp``.

    It bears Faust's name, so that members of an older version and this one can be in one group.
    """

    @property
    def version(self) -> int:
        return ANY_COUNT_VERSION

    def _perform_assignment(
        self, cluster: ClusterMetadata, member_metadata: MemberMetadataMapping
    ) -> MemberAssignmentMapping:
        clients = {member: self._get_client_metadata(each) for member, each in member_metadata.items()}
        self._update_member_urls(clients)
        held = self._share_out(clients)
        topics = sorted({topic for each in member_metadata.values() for topic in each.subscription})
        existing = {topic: self._existing(cluster, topic) for topic in topics}
        assignments: dict[str, ClientAssignment] = {}
        for member, metadata in member_metadata.items():
            actives = {
                topic: sorted(self._given(existing[topic], held[member], metadata.version))
                for topic in metadata.subscription
            }
            assignments[member] = ClientAssignment(actives=actives, standbys={topic: [] for topic in actives})
        for topic in topics:
            given = {each for client in assignments.values() for each in client.actives.get(topic, ())}
            self._note(topic, sorted(existing[topic] - given))
        return self._protocol_assignments(
            assignments,
            self._get_changelog_distribution(assignments),
            self._get_external_topic_distribution(assignments),
            dict.fromkeys(topics, 0),
        )

    def metadata(self, topics: set[str]) -> ConsumerProtocolMemberMetadata:
        for topic in topics:
            self._warnings.clear(WAITING, topic)  # the new leader looks again
        return super().metadata(topics)

    def _share_out(self, clients: Mapping[str, ClientMetadata]) -> dict[str, set[int]]:
        """The table's partitions by member: each has about as many, and keeps what it holds where it can."""
        tables = self._table_manager.changelog_topics
        partitions = self._partitions
        held: dict[str, set[int]] = {}
        for member, client in clients.items():
            actives = client.assignment.copartitioned_assignment(tables).actives
            held[member] = actives & set(range(partitions))
        self._promote(clients, held)
        before = {member: CopartitionedAssignment(set(each), set(), tables) for member, each in held.items()}
        shared = CopartitionedAssignor(tables, before, partitions, replicas=0).get_assignment()
        return {member: set(each.actives) for member, each in shared.items()}

    def _promote(self, clients: Mapping[str, ClientMetadata], held: dict[str, set[int]]) -> None:
        """Add to what members hold what nobody holds any more and they have standbys of."""
        copies: int = self.app.standbys  # type: ignore[attr-defined]
        members = {client.url: member for member, client in clients.items()}
        if not copies or len(members) < len(clients):
            return
        known = [self.changelog_distribution, *(each.changelog_distribution for each in clients.values())]
        before = self._held_by(max(known, key=len))
        by_url = {url: held[member] for url, member in members.items()}
        for url, each in promoted(by_url, before, self._partitions, copies).items():
            held[members[url]] = each

    def _held_by(self, distribution: HostToPartitionMap) -> dict[str, set[int]]:
        """The table's partitions by the URL of their owners."""
        tables = self._table_manager.changelog_topics
        return {
            url: {each for topic, given in topics.items() if topic in tables for each in given}
            for url, topics in distribution.items()
        }

    def _existing(self, cluster: ClusterMetadata, topic: str) -> set[int]:
        """The topic's partitions, or those of them that belong to the table."""
        if topic in self._table_manager.changelog_topics:
            return set(range(self._partitions))
        existing: set[int] = cluster.partitions_for_topic(topic) or set()
        if not existing:
            log.warning("topic_missing", topic=topic)  # once it is there the group rebalances
        return existing

    def _given(self, existing: set[int], held: set[int], version: int) -> set[int]:
        """A topic's partitions that go with the table's partitions which a member holds."""
        if version < ANY_COUNT_VERSION:
            return existing & held
        return {each for each in existing if table_partition(each, self._partitions) in held}

    def _note(self, topic: str, waiting: list[int]) -> None:
        if waiting:
            self._warnings.note(
                WAITING,
                topic,
                f"no worker reads the partitions {waiting} of {topic} yet, because the workers that hold the "
                "rows of their users are of an older version or have other topics.events. Nothing is lost. "
                "Upgrade all workers of this worker.app_id",
            )

    @property
    def _warnings(self) -> Warnings:
        warnings: Warnings = self.app.warnings  # type: ignore[attr-defined]
        return warnings

    @property
    def _partitions(self) -> int:
        partitions: int = self.app.table_partitions  # type: ignore[attr-defined]
        return partitions

    # -- what this member was given ------------------------------------------------------------------

    def held(self) -> set[int]:
        """The table's partitions that this worker holds."""
        tables = self._table_manager.changelog_topics
        return {tp.partition for tp in self.assigned_actives() if tp.topic in tables}

    def standbys(self) -> set[int]:
        """The table's partitions that this worker keeps standbys of."""
        return self.standbys_by_url().get(str(self._url), set()) - self.held()

    def standbys_by_url(self) -> dict[str, set[int]]:
        """The table's partitions that each worker keeps standbys of, by its URL."""
        copies: int = self.app.standbys  # type: ignore[attr-defined]
        return standbys_of(self._held_by(self.changelog_distribution), copies)

    def sources(self) -> dict[int, list[TP]]:
        """The source partitions whose records each of the table's held partitions takes.

        Raises SourceWithoutRows.
        """
        tables = self._table_manager.changelog_topics
        found: dict[int, list[TP]] = {partition: [] for partition in self.held()}
        astray: list[TP] = []
        for tp in sorted(self.assigned_actives()):
            if tp.topic not in tables:
                found.get(table_partition(tp.partition, self._partitions), astray).append(tp)
        if astray:
            names = ", ".join(f"{tp.topic}/{tp.partition}" for tp in astray)
            raise SourceWithoutRows(
                f"the group's leader gave this worker {names}, but not the rows of their users: of the "
                f"table's {self._partitions} partitions it holds {sorted(found)}. The leader is a worker "
                "of an older version, which can't share out topics with different numbers of partitions. "
                "Upgrade all workers of this worker.app_id. Nothing was read, nothing is lost"
            )
        return found
