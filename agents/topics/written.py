"""The topics that a worker writes, as the cluster has them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class WrittenTopics:
    """Names of the topics a worker writes, and how many partitions the outputs have."""

    changelog: str
    transitions: str
    repartition: str
    partitions: int
    """Of the table, so of the changelog and of the repartition topic. Source topics may have any number."""
    transitions_partitions: int
    dead_letter_suffix: str = ".dlq"
    changelog_bytes: int = LARGE_MESSAGE_BYTES
    """What the changelog takes in one produce batch (``max.message.bytes``)."""
    dead_letter_partitions: Mapping[str, int] = field(default_factory=dict)
    """By topic; one that isn't named has as many as the table."""
    sources: MutableMapping[str, int] = field(default_factory=dict)
    """Partitions of each source topic, repartitioned records aside; they may grow. Empty: not known."""
    erasures: str = ""
    """Empty: receipts go nowhere."""
    changelog_id: bytes = b""
    """The changelog's id; a store remembers it, so that it is never joined to another changelog."""
    identities: str = "identities"
    """The topic of claims; it has as many partitions as the table."""
    identities_id: bytes = b""
    """Its id; empty where the broker gives none."""
