"""What each topic must be, and why: one list for making, checking, mending and printing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES
from agents.registry.api_keys import keys_topic
from agents.registry.audit import audit_topic
from agents.topics.delivery import connections_topic, dead_letter_topic, destinations_topic

LEAST_ROW_BYTES = 1_000_000
"""A changelog that takes less than brokers do by default can't hold the rows of ordinary users."""
REPARTITION_BYTES = 1024 * 1024 * 1024
"""Kept per partition of the repartition topic."""
AUDIT_MS = 365 * 24 * 3600 * 1000
"""How long the audit topic keeps what it is made with; a broker keeps records for a week by default."""
COMPACTED_WITHIN_MS = 7 * 24 * 3600 * 1000
"""After so long at most a broker compacts a topic of personal data that we make: receipts of erasures name
the instant (docs/erasure.md). By default a broker compacts when it sees fit."""
COPIES = 3
"""Of a topic that is made, where there are as many brokers and ``topics.replication`` says nothing else."""


NONE: Mapping[str, int] = {}


class Role(StrEnum):
    """What a topic is for."""

    SOURCE = "input records"
    REPARTITION = "records on their way to their user's partition"
    CHANGELOG = "the rows of all users, to recover from"
    TRANSITIONS = "transitions"
    AUDIENCES = "published definitions"
    DESTINATIONS = "published destinations"
    CONNECTIONS = "published connections"
    PUSHES = "published pushes"
    PUSH_RUNS = "what became of the runs of pushes"
    KEYS = "API keys"
    HISTORY = "records from before the source topics begin"
    IMPORTS = "what was imported into the history topics"
    PROGRESS = "how far new versions of audiences are"
    NOTIFY = "where notices of each project go"
    NOTICES = "which notices were sent"
    IDENTITIES = "who claims which identity"
    ERASURES = "who was erased, without names"
    AUDIT = "who changed what"
    DEAD_LETTERS = "dead letters"
    UNDELIVERED = "dead letters of a destination"
    INTERNAL = "of Kafka or of Faust"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Every topic's name. ``events`` are the inputs, with any number of partitions; ``history`` the topics of
    records from before them, partitioned like the table."""

    prefix: str
    app_id: str
    events: Sequence[str]
    history: Sequence[str] = ()

    @property
    def repartition(self) -> str:
        return f"{self.prefix}.rekeyed"

    @property
    def transitions(self) -> str:
        return f"{self.prefix}.transitions"

    @property
    def audiences(self) -> str:
        return f"{self.prefix}.audiences"

    @property
    def keys(self) -> str:
        return keys_topic(self.prefix)

    @property
    def imports(self) -> str:
        return f"{self.prefix}.imports"

    @property
    def progress(self) -> str:
        return f"{self.prefix}.progress"

    @property
    def notify(self) -> str:
        return f"{self.prefix}.notify"

    @property
    def notices(self) -> str:
        return f"{self.prefix}.notices"

    @property
    def identities(self) -> str:
        return f"{self.prefix}.identities"

    @property
    def audit(self) -> str:
        return audit_topic(self.prefix)

    @staticmethod
    def dead_letters(source: str) -> str:
        return f"{source}.dlq"

    @property
    def destinations(self) -> str:
        return destinations_topic(self.prefix)

    @property
    def connections(self) -> str:
        return connections_topic(self.prefix)

    @property
    def changelog(self) -> str:
        return f"{self.app_id}-profiles-changelog"

    def audiences_topic(self) -> Wanted:
        return Wanted(self.audiences, Role.AUDIENCES, 1, _COMPACTED)

    def keys_topic(self) -> Wanted:
        return Wanted(self.keys, Role.KEYS, 1, _COMPACTED)

    def history_topics(self, partitions: int) -> list[Wanted]:
        """With the topic that says what was imported into them. ``partitions`` are those of the table."""
        topics = [Wanted(name, Role.HISTORY, partitions, {**_LARGE, **_HISTORY}) for name in self.history]
        return [*topics, Wanted(self.imports, Role.IMPORTS, 1, _COMPACTED)] if topics else []

    def progress_topic(self) -> Wanted:
        return Wanted(self.progress, Role.PROGRESS, 1, _COMPACTED)

    @property
    def erasures(self) -> str:
        return f"{self.prefix}.erasures"

    def erasures_topic(self) -> Wanted:
        return Wanted(self.erasures, Role.ERASURES, 1, _COMPACTED)

    def notify_topic(self) -> Wanted:
        return Wanted(self.notify, Role.NOTIFY, 1, _COMPACTED)

    def notices_topic(self) -> Wanted:
        return Wanted(self.notices, Role.NOTICES, 1, _COMPACTED)

    def audit_topic(self) -> Wanted:
        return Wanted(self.audit, Role.AUDIT, 1, {"retention.ms": str(AUDIT_MS)})

    def destinations_topic(self) -> Wanted:
        return Wanted(self.destinations, Role.DESTINATIONS, 1, _COMPACTED)

    def connections_topic(self) -> Wanted:
        return Wanted(self.connections, Role.CONNECTIONS, 1, _COMPACTED)

    @property
    def pushes(self) -> str:
        return f"{self.prefix}.pushes"

    @property
    def push_runs(self) -> str:
        return f"{self.prefix}.push-runs"

    def push_topics(self) -> list[Wanted]:
        """Definitions, and the ledger."""
        return [
            Wanted(self.pushes, Role.PUSHES, 1, _COMPACTED),
            Wanted(self.push_runs, Role.PUSH_RUNS, 1, _COMPACTED),
        ]

    def undelivered_topic(self, destination: str, partitions: int) -> Wanted:
        # Kept until somebody has looked at them: by default a broker throws records away after a week.
        kept = {**_LARGE, **_FOR_EVER}
        return Wanted(dead_letter_topic(self.prefix, destination), Role.UNDELIVERED, partitions, kept)

    def role_of(self, name: str) -> Role | None:
        """What a topic is for; None: it is none that this service reads or keeps."""
        own = [self.destinations_topic(), self.connections_topic(), self.notices_topic()]
        known = [*wanted_topics(self, 1), *own, *self.push_topics()]
        for each in known:
            if each.name == name:
                return each.role
        start, end = dead_letter_topic(self.prefix, "\n").split("\n")
        if name.startswith(start) and name.endswith(end):
            return Role.UNDELIVERED
        if name.startswith(("__", f"{self.app_id}-__")):
            return Role.INTERNAL
        return None

    @property
    def names(self) -> list[str]:
        """All topics of a worker."""
        return [each.name for each in wanted_topics(self, 1)]

    @property
    def sources(self) -> list[str]:
        return [*self.events, self.repartition]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One topic as it is made. What of it must hold for one that exists is in ``agents.topics.judge``."""

    name: str
    role: Role
    partitions: int
    configs: Mapping[str, str]

    def made_with(self, replication: int) -> dict[str, str]:
        """Its settings with so many copies: of three, two must have a record before it counts as written."""
        return {**self.configs, **({"min.insync.replicas": "2"} if replication >= 3 else {})}


_LARGE = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
_COMPACTED = {"cleanup.policy": "compact"}
_PERSONAL = {**_COMPACTED, "max.compaction.lag.ms": str(COMPACTED_WITHIN_MS)}
# The broker compresses rows to less than half of their bytes (docs/decisions/0014).
_CHANGELOG = {**_PERSONAL, "compression.type": "zstd"}
# Repartitioned records keep their timestamps, and a broker's retention by time looks at those.
_BY_SIZE = {"retention.ms": "-1", "retention.bytes": str(REPARTITION_BYTES)}
_FOR_EVER = {"retention.ms": "-1"}
_HISTORY = {**_FOR_EVER, "compression.type": "zstd"}


def wanted_topics(plan: TopicPlan, partitions: int, known: Mapping[str, int] = NONE) -> list[Wanted]:
    """The topics of a worker. ``partitions`` are those of the table; ``known`` those of topics that exist."""
    own = [
        *(Wanted(name, Role.SOURCE, known.get(name, partitions), {}) for name in plan.events),
        Wanted(plan.repartition, Role.REPARTITION, partitions, {**_LARGE, **_BY_SIZE}),
        Wanted(plan.transitions, Role.TRANSITIONS, known.get(plan.transitions, partitions), {}),
    ]
    identities = Wanted(plan.identities, Role.IDENTITIES, partitions, _PERSONAL)
    refusing = [*own, identities]
    return [
        *own,
        Wanted(plan.changelog, Role.CHANGELOG, partitions, {**_LARGE, **_CHANGELOG}),
        plan.audiences_topic(),
        plan.keys_topic(),
        *plan.history_topics(partitions),
        plan.progress_topic(),
        plan.erasures_topic(),
        plan.notify_topic(),
        identities,
        plan.audit_topic(),
        *(
            Wanted(plan.dead_letters(each.name), Role.DEAD_LETTERS, each.partitions, _LARGE)
            for each in refusing
        ),
    ]


def copies(replication: int | None, brokers: int) -> int:
    """How many copies a topic is made with; ``replication`` is the setting, None where it isn't given."""
    return replication if replication is not None else min(COPIES, max(1, brokers))
