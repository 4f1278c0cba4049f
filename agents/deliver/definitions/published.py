"""Destinations on their compacted topic (``<prefix>.destinations``, key: the name): publish and follow.

Value: ``{"version": n, "definition": {…}}``, the definition as it was written. A deleted one stays, with
``deleted``: one that comes back under its name is a new ``generation`` with a consumer group of its own, so
it doesn't go on where the old one stopped. Beside each lies where it began
(``agents.deliver.definitions.starts``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_published
from agents.deliver.definitions.starts import FirstStart, decode_start, destination_of_start
from agents.registry.audiences import MAX_VERSION, Version
from agents.registry.follow import follow
from agents.registry.unusable import Unusable, UnusableRecord, everything_on, shown_key, usable
from agents.topics.delivery import destinations_topic as destinations_topic
from agents.warnings import Warnings


@dataclass(frozen=True, slots=True)
class PublishedDestination:
    """A destination and the version under which it was published."""

    destination: Destination
    version: int
    generation: int = 1
    deleted: bool = False


Published = Mapping[str, PublishedDestination]
NO_GENERATIONS: Mapping[str, int] = {}


class DestinationRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the topic."""

    version: Version
    definition: dict[str, Any]
    generation: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] = 1
    deleted: bool = False


class _VersionAlone(msgspec.Struct):
    """What can still be read of a record that is unusable otherwise."""

    version: Version


_decode = msgspec.json.Decoder(DestinationRecord).decode
_decode_version = msgspec.json.Decoder(_VersionAlone).decode


def encode_destination(published: PublishedDestination) -> bytes:
    document: Any = published.destination.document
    return msgspec.json.encode(
        DestinationRecord(published.version, document, published.generation, published.deleted)
    )


def decode_destination(value: bytes) -> PublishedDestination:
    """Raises DefinitionsInvalid, Unusable or a decode error for a record that this program can't read."""
    record = _decode(value)
    text = msgspec.json.encode(record.definition).decode()
    destination = load_published(text, "destinations topic.json")
    return PublishedDestination(destination, record.version, record.generation, record.deleted)


@dataclass(slots=True)
class Destinations:
    """What was read of the topic."""

    published: dict[str, PublishedDestination] = field(default_factory=dict)
    starts: dict[str, FirstStart] = field(default_factory=dict)
    unusable: dict[bytes | None, UnusableRecord] = field(default_factory=dict)
    """By key. What was published before it, if there is something, is still there."""
    versions: dict[str, int] = field(default_factory=dict)
    """Of names with an unusable record: no version that was ever published is higher."""

    def take(self, topic: str, record: ConsumerRecord[bytes | None, bytes | None]) -> bool:
        """Take one record, in the order of the topic. False: it can't be used, and ``unusable`` has it."""
        key, value = record.key, record.value
        try:
            if key is None:
                raise Unusable("a destination needs its name as the key, and this record has no key")
            name = usable(key.decode)
            started = destination_of_start(name)
            if started is not None:
                if value is not None:
                    self._take_start(started, usable(lambda: decode_start(value)))
            elif value is None:
                self.published.pop(name, None)
                self.versions.pop(name, None)
            else:
                self.published[name] = usable(lambda: _read(name, value))
                self.versions.pop(name, None)
        except Unusable as reason:
            self.unusable[key] = UnusableRecord(topic, record.offset, key, str(reason))
            if key is not None and value is not None:
                name = key.decode("utf-8", "replace")
                self.versions[name] = max(self.versions.get(name, 0), _version_of(value, record.offset))
            return False
        self.unusable.pop(key, None)
        return True

    def _take_start(self, name: str, start: FirstStart) -> None:
        """Two processes may decide at the same time; both go by what was written first."""
        known = self.starts.get(name)
        about = (start.generation, start.topic_id)
        if known is None or (known.generation, known.topic_id) != about:
            self.starts[name] = start


def _read(name: str, value: bytes) -> PublishedDestination:
    published = decode_destination(value)
    if published.destination.name != name:
        raise Unusable(f"its key must be {published.destination.name!r}, as its definition says")
    return published


def _version_of(value: bytes, offset: int) -> int:
    """The version of an unusable record; where that can't be read, one that none before it had."""
    try:
        return usable(lambda: _decode_version(value).version)
    except Unusable:
        return offset + 1


def group_name(prefix: str, destination: str, generation: int = 1) -> str:
    """The consumer group that delivers to a destination of this name."""
    group = f"{prefix}.deliver.{destination}"
    return group if generation == 1 else f"{group}.{generation}"


def group_of(prefix: str, published: PublishedDestination) -> str:
    """The consumer group that delivers to a destination."""
    return group_name(prefix, published.destination.name, published.generation)


@dataclass(frozen=True, slots=True)
class DestinationChange:
    """What ``apply`` does to one destination: ``created``, ``changed`` or ``unchanged``."""

    published: PublishedDestination
    action: str


def plan_changes(
    current: Published,
    wanted: Sequence[Destination],
    versions: Mapping[str, int] | None = None,
    generations: Mapping[str, int] = NO_GENERATIONS,
) -> list[DestinationChange]:
    """What publishing ``wanted`` would do; others stay as they are.

    ``versions`` are those of records that can't be used (``Destinations.versions``): they are overwritten.
    ``generations``: those that have consumer groups, by name; one that was lost goes on with its own.
    """
    changes = []
    for destination in wanted:
        before, unusable_version = current.get(destination.name), (versions or {}).get(destination.name)
        if unusable_version is not None:
            version = max(unusable_version, before.version if before else 0) + 1
            generation = before.generation + before.deleted if before else 1
            changes.append(
                DestinationChange(PublishedDestination(destination, version, generation), "changed")
            )
        elif before is None:
            generation = generations.get(destination.name, 1)
            changes.append(DestinationChange(PublishedDestination(destination, 1, generation), "created"))
        elif before.deleted:
            after = PublishedDestination(destination, before.version + 1, before.generation + 1)
            changes.append(DestinationChange(after, "created"))
        elif before.destination == destination:
            changes.append(DestinationChange(before, "unchanged"))
        else:
            after = PublishedDestination(destination, before.version + 1, before.generation)
            changes.append(DestinationChange(after, "changed"))
    return changes


async def publish(producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedDestination]) -> None:
    """Write destinations; returns when all replicas have them."""
    for each in published:
        await producer.send(topic, encode_destination(each), each.destination.name.encode(), partition=0)
    await producer.flush()


async def read_published(consumer: AIOKafkaConsumer, topic: str) -> Destinations:
    """Everything on the topic now."""
    found = Destinations()
    async for record in everything_on(consumer, topic):
        found.take(topic, record)
    return found


class DestinationsFeed:
    """Reads the topic from its start and goes on; ``changed`` is called whenever something is new."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        changed: Callable[[], None],
        warnings: Warnings | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._changed = changed
        self._warnings = warnings or Warnings()
        self._read = Destinations()
        self.loaded = asyncio.Event()

    @property
    def published(self) -> Mapping[str, PublishedDestination]:
        return self._read.published

    @property
    def starts(self) -> Mapping[str, FirstStart]:
        """Where destinations began, by name."""
        return self._read.starts

    @property
    def versions(self) -> Mapping[str, int]:
        return self._read.versions

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why the latest records of some keys can't be used."""
        return {shown_key(key): each.reason for key, each in self._read.unusable.items() if key is not None}

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow(self._new_consumer, self._topic, self._take_all, self._all_read)

    def _all_read(self) -> None:
        self.loaded.set()
        self._changed()

    def _take_all(self, records: Sequence[ConsumerRecord[bytes | None, bytes | None]]) -> None:
        for record in records:
            self._take(record)
        if self.loaded.is_set():
            self._changed()

    def _take(self, record: ConsumerRecord[bytes | None, bytes | None]) -> None:
        place = f"{self._topic}/0 key {shown_key(record.key)}"
        if self._read.take(self._topic, record):
            self._warnings.clear("destination_unreadable", place)
            return
        told = self._read.unusable[record.key]
        text = f"offset {told.offset} can't be used, and what was published before it stays: {told.reason}"
        self._warnings.note("destination_unreadable", place, text)
