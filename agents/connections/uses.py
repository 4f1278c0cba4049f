"""What uses a connection: definitions that name it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from agents.connections.connection import Connection, WebhookTemplate, id_of
from agents.connections.notified import notification_problems
from agents.connections.published import PublishedConnection, PublishedConnections
from agents.connections.resolve import ConnectionUnusable, find_connection, resolved
from agents.deliver.definitions.destination import Destination


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A definition that names connections."""

    kind: Literal["destination", "push"]
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of project '{self.project}'"


@dataclass(frozen=True, slots=True)
class Naming:
    """What a definition names: ``name``, or ``project/name``. ``notified``: the one of them that is told of
    lists."""

    reference: Reference
    connections: tuple[str, ...]
    notified: str | None = None

    def names(self, connection: Connection) -> bool:
        project = self.reference.project
        return any(id_of(each, project) == connection.key for each in self.connections)


def naming_of(destination: Destination) -> Naming:
    named = () if destination.connection is None else (destination.connection,)
    return Naming(Reference("destination", destination.project, destination.name), named)


def references_to(connection: Connection, namings: Iterable[Naming]) -> list[Reference]:
    """The definitions that name a connection, by kind, project and name."""
    return sorted(each.reference for each in namings if each.names(connection))


def broken_by(
    change: Connection,
    published: PublishedConnections,
    destinations: Iterable[Destination],
    namings: Iterable[Naming] = (),
) -> Iterator[str]:
    """Why what uses a connection now couldn't use it as ``change`` has it. ``namings`` are those of other
    definitions than destinations."""
    before = published.get(change.key)
    if before is None or before.deleted:
        return
    after = {**published, change.key: PublishedConnection(change, 0)}
    for each in destinations:
        naming = naming_of(each)
        if naming.names(change) and _resolves(each, published):
            try:
                resolved(each, after)
            except ConnectionUnusable as error:
                yield f"{naming.reference} uses it: {error}"
    kind = before.definition.kind
    for naming in namings:
        for named in naming.connections:
            project = naming.reference.project
            if id_of(named, project) != change.key:
                continue
            try:
                find_connection(named, project, after, (kind,))
            except ConnectionUnusable as error:
                yield f"{naming.reference} uses it: {error}"
                continue
            if named == naming.notified and not _faults(before.definition):
                yield from (f"{naming.reference} notifies it: {fault}" for fault in _faults(change))


def _faults(notified: Connection) -> list[str]:
    reached = notified.reached
    return list(notification_problems(reached)) if isinstance(reached, WebhookTemplate) else []


def _resolves(destination: Destination, published: PublishedConnections) -> bool:
    try:
        resolved(destination, published)
    except ConnectionUnusable:
        return False
    return True
