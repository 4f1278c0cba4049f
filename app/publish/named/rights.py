"""What a caller may do with a connection."""

from __future__ import annotations

from collections.abc import Callable

from agents.connections.connection import Connection
from agents.connections.published import PublishedConnections
from agents.connections.resolve import may_use
from app.http.api_keys import Caller
from app.http.problems import HttpProblem

Usable = Callable[[str, PublishedConnections], PublishedConnections]
"""Of the published connections: those that definitions of a project may name."""


def administers(caller: Caller, connection: Connection) -> bool:
    """Whether it may see all of it, change, test and delete it: ``admin`` for its project, or it is named."""
    return caller.covers(connection.project) and (
        "admin" in caller.scopes or caller.name in connection.administer
    )


def uses(caller: Caller, connection: Connection, project: str) -> bool:
    """Whether it may name the connection in definitions of a project."""
    return administers(caller, connection) or _is_for(caller.name, connection, project)


def usable(caller: Caller, project: str, published: PublishedConnections) -> PublishedConnections:
    """Those that it may name in definitions of a project; the others are as if they weren't there."""
    return {key: each for key, each in published.items() if uses(caller, each.definition, project)}


def usable_by_command(key: str | None) -> Usable:
    """Those that a command may name. ``key``: the API key that it publishes in the name of; None: it has all
    rights, as its access to Kafka has."""

    def found(project: str, published: PublishedConnections) -> PublishedConnections:
        if key is None:
            return published
        return {
            name: each
            for name, each in published.items()
            if key in each.definition.administer or _is_for(key, each.definition, project)
        }

    return found


def sees(caller: Caller, connection: Connection) -> bool:
    """Whether it may know that the connection exists."""
    if administers(caller, connection):
        return True
    projects = {connection.project, *connection.use.projects, *caller.projects}
    return any(caller.covers(each) and uses(caller, connection, each) for each in projects)


def require_administrator(caller: Caller, connection: Connection) -> None:
    """Raises HttpProblem."""
    caller.require_project(connection.project)
    if not administers(caller, connection):
        detail = f"this takes the scope 'admin', or a key that {connection.name!r} names under 'administer'"
        raise HttpProblem(403, "Not allowed", detail)


def _is_for(key: str, connection: Connection, project: str) -> bool:
    keys = connection.use.keys
    return may_use(connection, project) and (keys is None or key in keys)
