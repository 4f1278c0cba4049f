"""Where a user lives: the partition that Kafka's own partitioner gives the user id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import unpack
from typing import Protocol

from tables.codec import source_key

ORIGIN_TOPIC = "source.topic"
ORIGIN_PARTITION = "source.partition"
ORIGIN_OFFSET = "source.offset"
MAX_OFFSET = 2**63 - 1
MAX_DIGITS = 19
MOST_PARTITIONS = 10_000
"""That a source topic is expected to have."""
ORIGIN_ACCEPTED = "source.accepted"
"""When the origin's topic was made again and accepted (ms); absent where it never was."""
ORIGIN_KEY = "source.key"
"""The key that the producer gave; only where the source's format reads it."""
ORIGIN_TIMESTAMP = "source.timestamp"
NO_TIMESTAMP = b"-1"
ERASURE_BEFORE = "erasure.before"
"""Marks a record of the repartition topic that no producer wrote: a request to erase a user. Its value says
where the logs of the user's records ended then (``agents.evaluate.erasure``)."""


Origin = tuple[str, int, int]
"""(topic, partition, offset) that the producer wrote to."""


class OriginInvalid(Exception):
    """A record on the repartition topic doesn't say where a producer wrote it: not ours."""


class Located(Protocol):
    """What tells where a record lies in Kafka."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 with the seed that Kafka's Java client uses, as an unsigned number.

    Austin Appleby's algorithm, in the public domain. A third faster than aiokafka's own, which goes byte
    by byte; every new user is placed with it.
    """
    size = len(key)
    whole = size & ~3
    value = 0x9747B28C ^ size
    for word in unpack(f"<{whole >> 2}I", key[:whole]):
        word = word * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        value = (value * 0x5BD1E995 & 0xFFFFFFFF) ^ word
    if size > whole:
        value ^= int.from_bytes(key[whole:], "little")
        value = value * 0x5BD1E995 & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return value ^ value >> 15


def partition_of(user_id: str, partitions: int) -> int:
    """Kafka's default partitioner on the id's bytes: positive murmur2 modulo the partitions."""
    if partitions == 1:
        return 0
    return (murmur2(user_id.encode()) & 0x7FFFFFFF) % partitions


def table_partition(source_partition: int, partitions: int) -> int:
    """The table's partition that takes the records of a source partition, of a topic with any number of them.

    A fixed function, because whether a user's records of one source partition are applied directly or come
    through the repartition topic must never change: a row notes one offset per source partition, so a record
    that comes by the slower way after a later one would be taken for a repetition.
    """
    return source_partition % partitions


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of the table, the number of them, and the topic that brings repartitioned records."""

    partition: int
    partitions: int
    repartition_topic: str = ""
    sources: Mapping[str, int] = field(default_factory=dict)
    """Partitions of each topic that repartitioned records may come from; empty: any. May grow meanwhile."""
    accepted: Mapping[str, int] = field(default_factory=dict)
    """``tables.codec.Ground.accepted``."""

    def owns(self, user_id: str) -> bool:
        return partition_of(user_id, self.partitions) == self.partition

    def reads(self, topic: str) -> bool:
        """Whether records of this topic may come."""
        return not self.sources or topic in self.sources or topic == self.repartition_topic

    def source(self, topic: str, partition: int) -> int:
        """Key of a source partition in checkpoints and in ``Row.applied``."""
        return source_key(topic, partition, self.accepted.get(topic, 0))

    def origin(self, record: Located) -> Origin:
        """Where the producer wrote it; a repartitioned record carries that along in its headers.

        Raises OriginInvalid for a repartitioned record that this program can't have written.
        """
        if record.topic != self.repartition_topic or self.is_request(record):
            return record.topic, record.partition, record.offset
        headers = dict(record.headers)
        try:
            topic = (headers[ORIGIN_TOPIC] or b"").decode()
            partition, offset = _number(headers, ORIGIN_PARTITION), _number(headers, ORIGIN_OFFSET)
        except KeyError:
            wanted = f"{ORIGIN_TOPIC}, {ORIGIN_PARTITION} and {ORIGIN_OFFSET}"
            raise OriginInvalid(f"a repartitioned record must have the headers {wanted}") from None
        except UnicodeDecodeError:
            raise OriginInvalid(f"the header {ORIGIN_TOPIC} must be UTF-8") from None
        if self.sources and topic not in self.sources:
            known = ", ".join(sorted(self.sources))
            raise OriginInvalid(f"the header {ORIGIN_TOPIC} must name a source topic ({known}): {topic!r}")
        if self.sources and partition >= self.sources[topic]:
            has = f"{topic} has {self.sources[topic]} partitions"
            raise OriginInvalid(f"the header {ORIGIN_PARTITION} is {partition}, but {has}")
        return topic, partition, offset

    def is_request(self, record: Located) -> bool:
        """Whether it is a request of ours to erase a user. It has no origin, and doesn't move the clock."""
        return record.topic == self.repartition_topic and any(
            name == ERASURE_BEFORE for name, _ in record.headers
        )

    def accepted_ms(self, record: Located) -> int:
        """When the topic that the producer wrote it to was made again and accepted; 0: never.

        Raises OriginInvalid.
        """
        if record.topic != self.repartition_topic or self.is_request(record):
            return self.accepted.get(record.topic, 0)
        headers = dict(record.headers)
        return _number(headers, ORIGIN_ACCEPTED) if ORIGIN_ACCEPTED in headers else 0


def was_untimed(record: Located) -> bool:
    """Whether the producer wrote a repartitioned record without a timestamp; ours always gives one."""
    return dict(record.headers).get(ORIGIN_TIMESTAMP) == NO_TIMESTAMP


def _number(headers: Mapping[str, bytes | None], name: str) -> int:
    """A header's number as Kafka has offsets. Raises KeyError, OriginInvalid."""
    text = headers[name] or b""
    number = int(text) if text.isdigit() and len(text) <= MAX_DIGITS else -1
    if not 0 <= number <= MAX_OFFSET:
        raise OriginInvalid(f"the header {name} must be a number from 0 to {MAX_OFFSET}: {text[:40]!r}")
    return number
