"""Publishing and deleting connections, with all that uses them at hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from agents.connections.permitted import connection_refusals, secrets_in_connection
from agents.connections.published import Connections, PublishedConnection
from agents.connections.uses import Naming, Reference, broken_by, naming_of, references_to
from agents.pushes.contract.push import Push
from agents.registry.writer import Change
from app.failures import CommandFailed
from app.publish.author import Author
from app.publish.files import read_definition_files
from app.publish.named.changes import Changes, deletion, publication
from app.publish.permitted import secrets_of
from app.publish.refused import StillUsed
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings

Decided = Change[Changes[Connection]]


def load_connection_files(paths: Sequence[Path]) -> list[Connection]:
    """The connections of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_connections(texts, problems)


async def publish_connections(
    topics: DefinitionTopics,
    wanted: Sequence[Connection],
    author: Author,
    check: Callable[[Connections], Collection[int] | None] = lambda _: None,
    *,
    dry_run: bool = False,
) -> Changes[Connection]:
    """All or none. ``check`` looks at those that are published, and gives the versions of which one must be
    there (None: any). Raises what it raises, StillUsed where something couldn't use one any more,
    VersionMoved, and as ``DefinitionTopics.change``.
    """

    def decide(registry: Connections) -> Decided:
        expected = check(registry)
        decided = publication(registry, wanted, author, expected)
        changed = [each for each in wanted if each.key in registry.published]
        new = {each.key: PublishedConnection(each, 0) for each in wanted if each not in changed}
        destinations = [each.definition for each in topics.destinations.live()]
        pushes = [naming_of_push(each.definition) for each in topics.pushes.live()]
        known = {**registry.published, **new}
        faults = [fault for each in changed for fault in broken_by(each, known, destinations, pushes)]
        if faults:
            raise StillUsed(faults, "Connection is used")
        return decided

    beside = (topics.destinations, topics.pushes)
    return await topics.change(topics.connections, decide, beside, dry_run=dry_run)


async def delete_connections(
    topics: DefinitionTopics,
    choose: Callable[[Connections], Sequence[PublishedConnection]],
    author: Author,
    expected: Collection[int] | None = None,
) -> Changes[Connection]:
    """Delete those that ``choose`` gives, all or none. Raises what it raises, StillUsed with all that names
    one of them, VersionMoved, and as ``DefinitionTopics.change``."""

    def decide(registry: Connections) -> Decided:
        found = choose(registry)
        decided = deletion(registry, found, author, expected)
        faults = [
            f"connection '{each.definition.name}' is used by {reference}: change or delete that first"
            for each in found
            for reference in references_to(each.definition, _namings(topics))
        ]
        if faults:
            raise StillUsed(faults, "Connection is still used")
        return decided

    return await topics.change(topics.connections, decide, (topics.destinations, topics.pushes))


async def references(
    topics: DefinitionTopics, connections: Sequence[Connection]
) -> dict[str, list[Reference]]:
    """What names each of them, by its key. Raises KafkaError, TimeoutError."""
    await topics.read(topics.destinations, topics.pushes)
    namings = _namings(topics)
    return {each.key: references_to(each, namings) for each in connections}


def check_secrets(settings: Settings, wanted: Sequence[Connection]) -> str | None:
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
        f"connection {each.key}: {reason}"
        for each in wanted
        for reason in connection_refusals(each, secrets_of(settings, project=each.project))
    ]
    if refused:
        raise CommandFailed("\n".join(refused))
    return None


def _namings(topics: DefinitionTopics) -> list[Naming]:
    """What all published definitions name."""
    found = [naming_of(each.definition) for each in topics.destinations.live()]
    return found + [naming_of_push(each.definition) for each in topics.pushes.live()]


def naming_of_push(push: Push) -> Naming:
    notify = push.target.get("notify")
    notified = notify if isinstance(notify, str) else None
    named = (push.connection,) if notified is None else (push.connection, notified)
    return Naming(Reference("push", push.project, push.name), named, notified)
