"""Connections on their compacted topic (``<prefix>.connections``, key: ``project/name``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from aiokafka import AIOKafkaConsumer

from agents.connections.connection import Connection
from agents.connections.parse import parse_connections
from agents.deliver.definitions.parse_listed import only_one
from agents.registry.audit import Kind
from agents.registry.definitions import Definitions, Published
from agents.registry.feed import Feed, stays_in_force
from agents.registry.unusable import UnusableRecord
from agents.warnings import Warnings

UNREADABLE: Final = "connection_unreadable"
"""The code of the warning about a record that can't be used."""


PublishedConnection = Published[Connection]
PublishedConnections = Mapping[str, PublishedConnection]
"""By ``project/name``; deleted ones are there, too."""


class Connections(Definitions[Connection]):
    """The published connections. What was published before an unusable record is in force no more: it may
    say that fewer may use it."""

    kind: ClassVar[Kind] = "connection"
    key_is: ClassVar[str] = "a connection needs project/name as the record's key"
    keeps_before: ClassVar[bool] = False

    def parse(self, text: str) -> Connection:
        source = "connections topic.json"
        return only_one(parse_connections(text, source), "one connection", source).connection


def connections_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings | None = None,
    changed: Callable[[], None] = lambda: None,
) -> Feed[Connections]:
    """Follows the topic. A record that it can't use is a warning."""
    registry = Connections(topic)

    def told(record: UnusableRecord) -> str:
        if (record.key or b"").decode("utf-8", "replace") in registry.published:
            return stays_in_force(record)
        return f"{record.reason}. The connection can't be used until it is published again"

    return Feed(new_consumer, registry, UNREADABLE, warnings, changed, told)
