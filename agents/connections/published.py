"""Connections on their compacted topic (``<prefix>.connections``, key: ``project/name``).

Value: ``{"version": n, "definition": {…}}``, the definition as it was written. A deleted one stays, with
``deleted``, so that the numbers of its versions go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.connections.connection import Connection
from agents.connections.parse import parse_connections
from agents.deliver.definitions.parse_listed import only_one
from agents.registry.feed import Feed
from agents.registry.registry import Registry, Version
from agents.registry.unusable import Unusable
from agents.warnings import Warnings

UNREADABLE: Final = "connection_unreadable"
"""The code of the warning about a record that can't be used."""


@dataclass(frozen=True, slots=True)
class PublishedConnection:
    """A connection and the version under which it was published."""

    connection: Connection
    version: int
    deleted: bool = False


PublishedConnections = Mapping[str, PublishedConnection]
"""By ``project/name``; deleted ones are there, too."""


class _Record(msgspec.Struct, omit_defaults=True):
    version: Version
    definition: msgspec.Raw
    """As its author wrote it; JSON."""
    deleted: bool = False


_decode = msgspec.json.Decoder(_Record).decode


def connection_record(published: PublishedConnection) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    definition = msgspec.Raw(msgspec.json.encode(published.connection.document))
    record = _Record(published.version, definition, published.deleted)
    return published.connection.id.encode(), msgspec.json.encode(record)


def decode_connection(value: bytes) -> PublishedConnection:
    """Raises DefinitionsInvalid or a decode error for a record that this program can't read."""
    record = _decode(value)
    source = "connections topic.json"
    parsed = only_one(parse_connections(str(record.definition, "utf-8"), source), "one connection", source)
    return PublishedConnection(parsed.connection, record.version, record.deleted)


class Connections(Registry[str, PublishedConnection]):
    """The published connections. What was published before an unusable record is in force no more: it may
    say that fewer may use it."""

    key_is: ClassVar[str] = "a connection needs project/name as the record's key"
    keeps_before: ClassVar[bool] = False

    def id_of(self, key: bytes) -> str:
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> PublishedConnection:
        published = decode_connection(value)
        if published.connection.id.encode() != key:
            raise Unusable(f"its key must be {published.connection.id!r}, as its definition says")
        return published


def connections_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings | None = None,
    changed: Callable[[], None] = lambda: None,
) -> Feed[Connections]:
    """Follows the topic. A record that it can't use is a warning."""
    return Feed(
        new_consumer,
        Connections(topic),
        UNREADABLE,
        warnings,
        changed,
        lambda told: f"{told.reason}. The connection can't be used until it is published again",
    )
