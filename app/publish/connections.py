"""The connections topic, for one command: what is on it, and changing it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from agents.connections.published import (
    Connections,
    PublishedConnection,
    PublishedConnections,
    connection_record,
)
from agents.registry.audit import Action, AuditRecord
from agents.topics.plan import TopicPlan, Wanted
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.publish.author import Author, shell_author
from app.publish.files import read_definition_files
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings
from rules.parse.problems import name_hint


def load_connection_files(paths: Sequence[Path]) -> list[Connection]:
    """The connections of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_connections(texts, problems)


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """What publishing does to one connection."""

    published: PublishedConnection
    action: Action | Literal["unchanged"]


def plan_connections(
    current: PublishedConnections, wanted: Sequence[Connection], unusable: Mapping[str, int]
) -> list[ConnectionChange]:
    """What publishing ``wanted`` would do; others stay as they are. ``unusable``: versions of records that
    can't be used (``Registry.unusable_versions``): these are overwritten."""
    changes = []
    for each in wanted:
        before, lost = current.get(each.id), unusable.get(each.id)
        if lost is None and before is not None and not before.deleted and before.connection == each:
            changes.append(ConnectionChange(before, "unchanged"))
            continue
        version = max(before.version if before is not None else 0, lost or 0) + 1
        is_new = lost is None and (before is None or before.deleted)
        changes.append(
            ConnectionChange(PublishedConnection(each, version), "created" if is_new else "changed")
        )
    return changes


class ConnectionsTopic(DefinitionsTopic):
    """The topic on a broker that answers. Made by ``connected``."""

    unusable_versions: Mapping[str, int] = {}
    """Of records that can't be used; known after a ``read``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.connections_topic()

    async def read(self) -> dict[str, PublishedConnection]:
        """Everything that is published, deleted ones too; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        found = await self.read_into(Connections(self.name))
        self.unusable_versions = found.unusable_versions
        return found.published

    async def find(self, project: str, name: str) -> PublishedConnection:
        """One that isn't deleted. Raises CommandFailed."""
        return found_in(await self.read(), project, name)

    async def write(self, changes: Sequence[tuple[PublishedConnection, Action]]) -> None:
        """Publish, and tell each change on the audit topic; the topics are made when they are missing."""
        if not changes:
            return
        told = [told_of(each, action, shell_author()) for each, action in changes]
        await self.write_records([connection_record(each) for each, _ in changes], told)


def found_in(published: PublishedConnections, project: str, name: str) -> PublishedConnection:
    """One that isn't deleted. Raises CommandFailed."""
    there = {
        each.connection.name: each
        for each in published.values()
        if each.connection.project == project and not each.deleted
    }
    if name not in there:
        hint = name_hint(name, there) if there else "none is published"
        raise CommandFailed(f"project '{project}' has no connection '{name}'; {hint}")
    return there[name]


def deleted(published: PublishedConnection) -> PublishedConnection:
    """What is published in its place when it is deleted."""
    return replace(published, version=published.version + 1, deleted=True)


def told_of(published: PublishedConnection, action: Action, author: Author) -> AuditRecord:
    """What the audit topic is told of a change that is made now."""
    connection = published.connection
    return author.told(
        "connection",
        connection.name,
        action,
        time.time_ns() // 1_000_000,
        project=connection.project,
        version=published.version,
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[ConnectionsTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield ConnectionsTopic(settings, admin)
