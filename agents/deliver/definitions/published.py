"""Destinations on their compacted topic (``<prefix>.destinations``, key: the name).

A new ``generation`` has a consumer group of its own, so it doesn't go on where the old one stopped. Beside
each lies where it began (``agents.deliver.definitions.starts``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_published
from agents.deliver.definitions.starts import FirstStart, decode_start, destination_of_start
from agents.registry.audit import Kind
from agents.registry.definitions import Definitions, Published, definition_record
from agents.registry.feed import Feed
from agents.registry.topic import publish
from agents.registry.unusable import shown_key, usable
from agents.topics.delivery import destinations_topic as destinations_topic
from agents.warnings import Warnings

UNREADABLE = "destination_unreadable"


PublishedDestination = Published[Destination]
PublishedDestinations = Mapping[str, PublishedDestination]
"""By name; deleted ones are there, too."""


class Destinations(Definitions[Destination]):
    """The published destinations, by name, and where they began. What was published before an unusable
    record stays in force."""

    kind: ClassVar[Kind] = "destination"
    key_is: ClassVar[str] = "a destination needs its name as the key"

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.starts: dict[str, FirstStart] = {}
        """Where destinations began, by name."""

    def parse(self, text: str) -> Destination:
        return load_published(text, "destinations topic.json")

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
    def published(self) -> PublishedDestinations:
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
    return group_name(prefix, published.definition.name, published.generation)


async def publish_destinations(
    producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedDestination]
) -> None:
    """Write destinations; returns when all replicas have them."""
    await publish(producer, topic, map(definition_record, published))
