"""What the stand-in keeps: per hub partition the events in the order of their commit."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field

from proton import Message

from tests.eventhub.wire import before_body, unbatched

KEY_ANNOTATION = "x-opt-partition-key"
STANDARD_MESSAGE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class HubEvent:
    """A stored event, decoded."""

    id: str | None
    body: bytes
    content_type: str | None
    properties: dict[str, object]
    partition_key: str | None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    raw: bytes
    partition_key: str | None
    enqueued_ms: int

    def message(self) -> Message:
        message = Message()
        message.decode(self.raw)
        return message

    def event(self) -> HubEvent:
        message = self.message()
        return HubEvent(
            id=None if message.id is None else str(message.id),
            body=bytes(message.body),
            content_type=None if message.content_type is None else str(message.content_type),
            properties=dict(message.properties or {}),
            partition_key=self.partition_key,
        )


@dataclass(slots=True)
class Hub:
    """One event hub. `created_ms` is Unix time; `max_message_bytes` bounds one publication."""

    name: str = "audiences"
    count: int = 4
    max_message_bytes: int = STANDARD_MESSAGE_BYTES
    partitions: list[list[StoredMessage]] = field(default_factory=list)
    created_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    publications: int = 0
    _turn: int = 0

    def __post_init__(self) -> None:
        self.partitions = [[] for _ in range(self.count)]

    def commit(self, publication: bytes, partition: int | None) -> int:
        """Stores a publication, single or batch; gives the partition it went to."""
        key = partition_key_of(publication)
        if partition is None:
            # The service's hash is its own; that one key keeps one partition is what counts.
            if key is None:
                self._turn += 1
                partition = self._turn % self.count
            else:
                partition = zlib.crc32(key.encode()) % self.count
        now_ms = time.time_ns() // 1_000_000
        self.partitions[partition] += [StoredMessage(raw, key, now_ms) for raw in unbatched(publication)]
        self.publications += 1
        return partition

    def events(self) -> list[list[HubEvent]]:
        """All events, decoded, per partition in order."""
        return [[stored.event() for stored in partition] for partition in self.partitions]

    def total(self) -> int:
        return sum(map(len, self.partitions))


def partition_key_of(publication: bytes) -> str | None:
    front = before_body(publication)
    if KEY_ANNOTATION.encode() not in front:
        return None
    message = Message()
    message.decode(front)
    key = (message.annotations or {}).get(KEY_ANNOTATION)
    return None if key is None else str(key)
