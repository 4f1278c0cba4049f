"""Where a destination begins: decided once, before anything is delivered, and kept for good.

The group's committed offsets are not enough: there are none before partitions were assigned, and brokers
throw those of an empty group away after a week (``offsets.retention.minutes``), so one that was paused for
longer would begin at the end of the topic and skip what came meanwhile. So the decision lies on the
compacted destinations topic, beside the definition (key ``<name>/start``; no name has a slash). Where a
partition has no committed offset it is taken up from there; what was delivered already comes again then.

Offsets are those of one topic, so the decision holds its id. Where the transitions topic was made again, a
destination begins at its beginning, whatever was decided or committed before.

Existing members are sent once in a generation: when it begins, or when ``existing_members`` is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

MAX_OFFSET: Final = 2**63 - 1
MEMBERS_FIRST: Final = "members-first"
"""Metadata of a committed offset: the current members weren't all sent yet, nothing after it was."""
_SUFFIX: Final = "/start"


class FirstStart(msgspec.Struct, frozen=True, omit_defaults=True):
    """The transitions topic's ends by partition, when a generation of a destination was first seen."""

    generation: int
    offsets: dict[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]]
    members_first: bool = False
    topic_id: bytes = b""
    """Of the transitions topic; empty where the broker gives none."""
    members_asked: bool = False
    """Whether ``existing_members`` was on."""

    @property
    def about(self) -> tuple[int, bytes, bool]:
        """What it decides on: the first of those about the same counts."""
        return self.generation, self.topic_id, self.members_first or self.members_asked

    def lacks_members(self, existing_members: bool) -> bool:
        """Whether ``existing_members`` was switched on since."""
        return existing_members and not (self.members_first or self.members_asked)

    def is_of_another(self, topic_id: bytes) -> bool:
        """Whether the transitions topic was made again since."""
        return bool(self.topic_id and topic_id and self.topic_id != topic_id)

    def committed(self, partition: int) -> OffsetAndMetadata:
        """What is committed for a partition without an offset; one the topic didn't have then: from 0."""
        if partition not in self.offsets:
            return OffsetAndMetadata(0, "")
        return OffsetAndMetadata(self.offsets[partition], MEMBERS_FIRST if self.members_first else "")


_decode = msgspec.json.Decoder(FirstStart).decode


def start_key(destination: str) -> bytes:
    """Of the record on the destinations topic."""
    return f"{destination}{_SUFFIX}".encode()


def destination_of_start(key: str) -> str | None:
    """The destination's name; None: the key isn't that of a start."""
    return key.removesuffix(_SUFFIX) if key.endswith(_SUFFIX) else None


def encode_start(start: FirstStart) -> bytes:
    return msgspec.json.encode(start)


def decode_start(value: bytes) -> FirstStart:
    """Raises msgspec.DecodeError."""
    return _decode(value)


async def decide_start(
    consumer: AIOKafkaConsumer,
    topic: str,
    partitions: int,
    generation: int,
    members_first: bool,
    topic_id: bytes = b"",
) -> FirstStart:
    """The end of each partition now; where the group has an offset already, that one.

    ``consumer`` is of the destination's group, started, and has nothing assigned yet.
    """
    tps = [TopicPartition(topic, each) for each in range(partitions)]
    consumer.assign(tps)
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(tps)
    coordinator = cast(Any, consumer._coordinator)
    found: Mapping[TopicPartition, OffsetAndMetadata] = await coordinator.fetch_committed_offsets(tps)
    held = {tp: each for tp, each in found.items() if each.offset >= 0}
    asked = members_first
    if held:
        members_first = any(each.metadata == MEMBERS_FIRST for each in held.values())
    offsets = {tp.partition: held[tp].offset if tp in held else ends[tp] for tp in tps}
    return FirstStart(generation, offsets, members_first, topic_id, asked)


async def members_now(
    consumer: AIOKafkaConsumer, topic: str, partitions: int, before: FirstStart, topic_id: bytes
) -> FirstStart:
    """``existing_members`` was switched on: the group stays where it stands, and members come first there.

    ``consumer`` as for ``decide_start``. Raises CommitFailedError while the group has members: those would
    commit that members were sent.
    """
    tps = [TopicPartition(topic, each) for each in range(partitions)]
    consumer.assign(tps)
    coordinator = cast(Any, consumer._coordinator)
    found: Mapping[TopicPartition, OffsetAndMetadata] = await coordinator.fetch_committed_offsets(tps)
    offsets = {tp.partition: before.offsets.get(tp.partition, 0) for tp in tps}
    offsets |= {tp.partition: each.offset for tp, each in found.items() if each.offset >= 0}
    start = FirstStart(before.generation, offsets, True, topic_id, True)
    await consumer.commit({tp: start.committed(tp.partition) for tp in tps})
    return start


async def start_over(
    consumer: AIOKafkaConsumer, topic: str, partitions: int, before: FirstStart, topic_id: bytes
) -> FirstStart:
    """The beginning of a topic that was made again; the group goes back to it.

    ``consumer`` as for ``decide_start``. Raises CommitFailedError while the group has members: those don't
    know yet that the topic is another one, and would go on from offsets of the old one.
    """
    offsets = dict.fromkeys(range(partitions), 0)
    start = FirstStart(before.generation, offsets, before.members_first, topic_id, before.members_asked)
    tps = [TopicPartition(topic, each) for each in offsets]
    consumer.assign(tps)
    await consumer.commit({tp: start.committed(tp.partition) for tp in tps})
    return start
