"""What uses a connection: destinations and pushes that refer to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from agents.connections.connection import Connection, id_of
from agents.connections.published import PublishedConnection, PublishedConnections
from agents.connections.resolve import ConnectionUnusable, resolved
from agents.deliver.definitions.destination import Destination


class Referring(Protocol):
    """A definition that may name a connection."""

    @property
    def name(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def connection(self) -> str | None: ...


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A definition that names a connection. ``kind``: ``destination`` or ``push``."""

    kind: str
    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of project '{self.project}'"


def references_to(connection: Connection, kind: str, among: Iterable[Referring]) -> list[Reference]:
    """The definitions of one kind that name a connection, by project and name."""
    return sorted(
        Reference(kind, each.project, each.name)
        for each in among
        if each.connection is not None and id_of(each.connection, each.project) == connection.id
    )


def broken_by(
    change: Connection, published: PublishedConnections, destinations: Iterable[Destination]
) -> Iterator[str]:
    """Why destinations that use a connection now couldn't use it as ``change`` has it."""
    after = {**published, change.id: PublishedConnection(change, 0)}
    for each in destinations:
        if each.connection is None or id_of(each.connection, each.project) != change.id:
            continue
        try:
            resolved(each, published)
        except ConnectionUnusable:
            continue  # it can't be used now, either
        try:
            resolved(each, after)
        except ConnectionUnusable as error:
            yield f"destination '{each.name}' of project '{each.project}' uses it: {error}"
