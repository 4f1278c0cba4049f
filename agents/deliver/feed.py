"""Destinations on their compacted topic (``<prefix>.destinations``, key: the name): publish and follow.

Value: ``{"version": n, "definition": {…}}``, the definition as it was written. A deleted one stays, with
``deleted``: one that comes back under its name is a new ``generation`` with a consumer group of its own, so
it doesn't go on where the old one stopped. Beside each lies where it began (``agents.deliver.starts``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.deliver.destination import Destination
from agents.deliver.parse import load_destinations
from agents.deliver.starts import FirstStart, decode_start, destination_of_start
from rules.problems import DefinitionsInvalid

log = structlog.get_logger("turnstile.destinations")


@dataclass(frozen=True, slots=True)
class PublishedDestination:
    """A destination and the version under which it was published."""

    destination: Destination
    version: int
    generation: int = 1
    deleted: bool = False


Published = Mapping[str, PublishedDestination]


class DestinationRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the topic."""

    version: int
    definition: dict[str, Any]
    generation: int = 1
    deleted: bool = False


_decode = msgspec.json.Decoder(DestinationRecord).decode


def destinations_topic(prefix: str) -> str:
    return f"{prefix}.destinations"


def encode_destination(published: PublishedDestination) -> bytes:
    document: Any = published.destination.document
    return msgspec.json.encode(
        DestinationRecord(published.version, document, published.generation, published.deleted)
    )


def decode_destination(value: bytes) -> PublishedDestination:
    """Raises DefinitionsInvalid, or a decode error, for a record that this program can't read."""
    record = _decode(value)
    text = msgspec.json.encode(record.definition).decode()
    (destination,) = load_destinations([("destinations topic.json", text)])
    return PublishedDestination(destination, record.version, record.generation, record.deleted)


def group_name(prefix: str, destination: str, generation: int = 1) -> str:
    """The consumer group that delivers to a destination of this name."""
    group = f"{prefix}.deliver.{destination}"
    return group if generation == 1 else f"{group}.{generation}"


def group_of(prefix: str, published: PublishedDestination) -> str:
    """The consumer group that delivers to a destination."""
    return group_name(prefix, published.destination.name, published.generation)


@dataclass(frozen=True, slots=True)
class Change:
    """What ``apply`` does to one destination: ``created``, ``changed`` or ``unchanged``."""

    published: PublishedDestination
    action: str


def plan_changes(current: Published, wanted: Sequence[Destination]) -> list[Change]:
    """What publishing ``wanted`` would do; others stay as they are."""
    changes = []
    for destination in wanted:
        before = current.get(destination.name)
        if before is None:
            changes.append(Change(PublishedDestination(destination, 1), "created"))
        elif before.deleted:
            after = PublishedDestination(destination, before.version + 1, before.generation + 1)
            changes.append(Change(after, "created"))
        elif before.destination == destination:
            changes.append(Change(before, "unchanged"))
        else:
            after = PublishedDestination(destination, before.version + 1, before.generation)
            changes.append(Change(after, "changed"))
    return changes


async def publish(producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedDestination]) -> None:
    """Write destinations; returns when all replicas have them."""
    for each in published:
        await producer.send(topic, encode_destination(each), each.destination.name.encode(), partition=0)
    await producer.flush()


async def read_published(consumer: AIOKafkaConsumer, topic: str) -> dict[str, PublishedDestination]:
    """Everything on the topic now. Raises DefinitionsInvalid or a decode error."""
    found: dict[str, PublishedDestination] = {}
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    while await consumer.position(partition) < end:
        polled = await consumer.getmany(timeout_ms=500)
        for record in polled.get(partition, []):
            key = record.key.decode()
            if record.value is None:
                found.pop(key, None)
            elif destination_of_start(key) is None:
                found[key] = decode_destination(record.value)
    return found


class DestinationsFeed:
    """Reads the topic from its start and goes on; ``changed`` is called whenever something is new."""

    def __init__(
        self, new_consumer: Callable[[], AIOKafkaConsumer], topic: str, changed: Callable[[], None]
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._changed = changed
        self.published: dict[str, PublishedDestination] = {}
        self.starts: dict[str, FirstStart] = {}
        """Where destinations began, by name."""
        self.unreadable: dict[str, str] = {}
        self.loaded = asyncio.Event()

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        async with self._new_consumer() as consumer:
            partition = TopicPartition(self._topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            while True:
                if not self.loaded.is_set() and await consumer.position(partition) >= end:
                    self.loaded.set()
                    self._changed()
                polled = await consumer.getmany(timeout_ms=200)
                records = polled.get(partition, [])
                for record in records:
                    key = record.key.decode("utf-8", "replace")
                    destination = destination_of_start(key)
                    if destination is None:
                        self._take(key, record.value)
                    elif record.value is not None:
                        self._take_start(destination, record.value)
                if records and self.loaded.is_set():
                    self._changed()

    def _take_start(self, name: str, value: bytes) -> None:
        """Two processes may decide at the same time; both go by what was written first."""
        try:
            start = decode_start(value)
        except msgspec.DecodeError as error:
            log.error("start_unreadable", name=name, error=str(error))
            return
        known = self.starts.get(name)
        if known is None or known.generation != start.generation:
            self.starts[name] = start

    def _take(self, name: str, value: bytes | None) -> None:
        if value is None:
            self.published.pop(name, None)
            self.unreadable.pop(name, None)
            return
        try:
            self.published[name] = decode_destination(value)
            self.unreadable.pop(name, None)
        except (DefinitionsInvalid, msgspec.DecodeError) as error:
            # What can't be read leaves the one before in force.
            self.unreadable[name] = str(error)
            log.error("destination_unreadable", name=name, error=str(error))
