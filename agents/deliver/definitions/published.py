"""Destinations on their compacted topic (``<prefix>.destinations``, key: the name).

Value: ``{"version": n, "definition": {…}}``, the definition as it was written. A deleted one stays, with
``deleted``: one that comes back under its name is a new ``generation`` with a consumer group of its own, so
it doesn't go on where the old one stopped. Beside each lies where it began
(``agents.deliver.definitions.starts``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_published
from agents.deliver.definitions.starts import FirstStart, decode_start, destination_of_start
from agents.registry.audit import Action
from agents.registry.feed import Feed
from agents.registry.registry import MAX_VERSION, Registry, Version
from agents.registry.topic import publish
from agents.registry.unusable import Unusable, shown_key, usable
from agents.topics.delivery import destinations_topic as destinations_topic
from agents.warnings import Warnings

UNREADABLE = "destination_unreadable"


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
    definition: msgspec.Raw
    """As its author wrote it; JSON."""
    generation: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] = 1
    deleted: bool = False


_decode = msgspec.json.Decoder(DestinationRecord).decode


def encode_destination(published: PublishedDestination) -> bytes:
    definition = msgspec.Raw(msgspec.json.encode(published.destination.document))
    return msgspec.json.encode(
        DestinationRecord(published.version, definition, published.generation, published.deleted)
    )


def destination_record(published: PublishedDestination) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    return published.destination.name.encode(), encode_destination(published)


def decode_destination(value: bytes) -> PublishedDestination:
    """Raises DefinitionsInvalid or a decode error for a record that this program can't read.

    The positions in what it raises are those in the definition as it lies in the record.
    """
    record = _decode(value)
    destination = load_published(str(record.definition, "utf-8"), "destinations topic.json")
    return PublishedDestination(destination, record.version, record.generation, record.deleted)


class Destinations(Registry[str, PublishedDestination]):
    """The published destinations, by name, and where they began. What was published before an unusable
    record stays in force."""

    key_is: ClassVar[str] = "a destination needs its name as the key"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.starts: dict[str, FirstStart] = {}
        """Where destinations began, by name."""

    def id_of(self, key: bytes) -> str:
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> PublishedDestination:
        published = decode_destination(value)
        name = published.destination.name
        if name.encode() != key:
            raise Unusable(f"its key must be {name!r}, as its definition says")
        return published

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        name = destination_of_start(usable(partial(self.id_of, key)))
        if name is None:
            super()._put_in_force(key, value)
        elif value is not None:
            self._put_start(name, usable(partial(decode_start, value)))

    def _put_start(self, name: str, start: FirstStart) -> None:
        """Two processes may decide at the same time; both go by what was written first."""
        known = self.starts.get(name)
        if known is None or known.about != start.about:
            self.starts[name] = start


class DestinationsFeed(Feed[Destinations]):
    """Reads the topic from its start and goes on; ``changed`` is called whenever something is new."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        changed: Callable[[], None],
        warnings: Warnings | None = None,
    ) -> None:
        super().__init__(new_consumer, Destinations(topic), UNREADABLE, warnings, changed)

    @property
    def published(self) -> Published:
        return self.registry.published

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why the latest records of some keys can't be used, by the key as it is shown to people."""
        return {
            shown_key(key): each.reason for key, each in self.registry.unusable.items() if key is not None
        }


def group_name(prefix: str, destination: str, generation: int = 1) -> str:
    """The consumer group that delivers to a destination of this name."""
    group = f"{prefix}.deliver.{destination}"
    return group if generation == 1 else f"{group}.{generation}"


def group_of(prefix: str, published: PublishedDestination) -> str:
    """The consumer group that delivers to a destination."""
    return group_name(prefix, published.destination.name, published.generation)


@dataclass(frozen=True, slots=True)
class DestinationChange:
    """What ``apply`` does to one destination."""

    published: PublishedDestination
    action: Action | Literal["unchanged"]


def plan_changes(
    current: Published,
    wanted: Sequence[Destination],
    versions: Mapping[str, int] | None = None,
    generations: Mapping[str, int] = NO_GENERATIONS,
) -> list[DestinationChange]:
    """What publishing ``wanted`` would do; others stay as they are.

    ``versions`` are those of records that can't be used (``Registry.unusable_versions``): these records are
    overwritten.
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


async def publish_destinations(
    producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedDestination]
) -> None:
    """Write destinations; returns when all replicas have them."""
    await publish(producer, topic, map(destination_record, published))
