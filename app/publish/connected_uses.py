"""Connections beside what uses them, for one command: what may not be changed or deleted, and why."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient

from agents.connections.connection import Connection
from agents.connections.permitted import connection_refusals, secrets_in_connection
from agents.connections.published import PublishedConnection, PublishedConnections
from agents.connections.uses import Naming, Reference, broken_by, naming_of, references_to
from agents.deliver.definitions.destination import Destination
from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.pushes.contract.push import Push
from agents.pushes.published import Pushes
from agents.registry.topic import read_all
from agents.topics import existing
from agents.topics.plan import TopicPlan
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
    destinations, pushes = await _destinations(topic), await _pushes(topic)
    known = {**published, **{each.id: PublishedConnection(each, 0) for each in wanted if each not in changed}}
    faults = [fault for each in changed for fault in broken_by(each, known, destinations, pushes)]
    if faults:
        raise CommandFailed("\n".join(faults))


async def references(topic: ConnectionsTopic, connection: Connection) -> list[Reference]:
    """What names a connection."""
    return references_to(connection, await _namings(topic))


async def check_unused(topic: ConnectionsTopic, connections: Sequence[Connection]) -> None:
    """Raises CommandFailed with all that names one of them."""
    namings = await _namings(topic)
    faults = [
        f"connection '{each.name}' is used by {reference}: change or delete that first"
        for each in connections
        for reference in references_to(each, namings)
    ]
    if faults:
        raise CommandFailed("\n".join(faults))


async def namings_of_pushes(broker: Broker, admin: AIOKafkaAdminClient, plan: TopicPlan) -> list[Naming]:
    """What the published pushes name; nothing when there is no such topic yet. Raises KafkaError."""
    if plan.pushes not in await existing(admin):
        return []
    async with committed_consumer(broker) as consumer:
        known = await read_all(consumer, Pushes(plan.pushes))
    return [_naming_of(each.push) for each in known.published.values() if not each.deleted]


def _naming_of(push: Push) -> Naming:
    notify = push.target.get("notify")
    named = (push.connection, notify) if isinstance(notify, str) else (push.connection,)
    return Naming(Reference("push", push.project, push.name), named)


async def _namings(topic: ConnectionsTopic) -> list[Naming]:
    return [*map(naming_of, await _destinations(topic)), *await _pushes(topic)]


async def _pushes(topic: ConnectionsTopic) -> list[Naming]:
    return await namings_of_pushes(topic.broker, topic.admin, topic.plan)


async def _destinations(topic: ConnectionsTopic) -> list[Destination]:
    published = await DestinationsTopic(topic.settings, topic.admin).read()
    return [each.destination for each in published.values() if not each.deleted]
