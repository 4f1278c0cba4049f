"""Connections beside what uses them, for one command: what may not be changed or deleted, and why."""

from __future__ import annotations

from collections.abc import Sequence

from agents.connections.connection import Connection
from agents.connections.permitted import connection_refusals, secrets_in_connection
from agents.connections.published import PublishedConnection, PublishedConnections
from agents.connections.uses import Reference, broken_by, references_to
from agents.deliver.definitions.destination import Destination
from app.failures import CommandFailed
from app.publish.connections import ConnectionsTopic
from app.publish.destinations import DestinationsTopic
from app.publish.permitted import secrets_of
from app.settings.tree import Settings


def check_connections(settings: Settings, wanted: Sequence[Connection]) -> str | None:
    """What isn't looked at, because only the settings of delivery workers tell it; None: all is.

    Raises CommandFailed with all that the settings refuse.
    """
    if "secrets" not in settings.deliver.model_fields_set:
        named = dict.fromkeys(secret.name for each in wanted for secret in secrets_in_connection(each))
        if not named:
            return None
        return (
            "these settings have no deliver.secrets, so nobody checked whether delivery workers may send the "
            f"secrets that are named: {', '.join(named)}"
        )
    refused = [
        f"connection {each.id}: {reason}"
        for each in wanted
        for reason in connection_refusals(each, secrets_of(settings, project=each.project))
    ]
    if refused:
        raise CommandFailed("\n".join(refused))
    return None


async def check_uses(
    topic: ConnectionsTopic, wanted: Sequence[Connection], published: PublishedConnections
) -> None:
    """Raises CommandFailed where something that uses a connection couldn't use it any more."""
    changed = [each for each in wanted if each.id in published]
    if not changed:
        return
    destinations = await _destinations(topic)
    known = {**published, **{each.id: PublishedConnection(each, 0) for each in wanted if each not in changed}}
    faults = [fault for each in changed for fault in broken_by(each, known, destinations)]
    if faults:
        raise CommandFailed("\n".join(faults))


async def references(topic: ConnectionsTopic, connection: Connection) -> list[Reference]:
    """What names a connection."""
    return references_to(connection, "destination", await _destinations(topic))


async def check_unused(topic: ConnectionsTopic, connections: Sequence[Connection]) -> None:
    """Raises CommandFailed with all that names one of them."""
    destinations = await _destinations(topic)
    faults = [
        f"connection '{each.name}' is used by {reference}: change or delete that first"
        for each in connections
        for reference in references_to(each, "destination", destinations)
    ]
    if faults:
        raise CommandFailed("\n".join(faults))


async def _destinations(topic: ConnectionsTopic) -> list[Destination]:
    published = await DestinationsTopic(topic.settings, topic.admin).read()
    return [each.destination for each in published.values() if not each.deleted]
