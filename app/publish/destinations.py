"""The destinations topic, for one command: what is on it, and changing it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agents.deliver.definitions.parse import load_parsed
from agents.deliver.definitions.parse_destination import ParsedDestination
from agents.deliver.definitions.published import Destinations, PublishedDestination, destination_record
from agents.registry.audit import Action, AuditRecord
from agents.topics.plan import TopicPlan, Wanted
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.publish.author import Author, shell_author
from app.publish.files import read_definition_files
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings
from rules.parse.problems import name_hint


def load_destination_files(paths: Sequence[Path]) -> list[ParsedDestination]:
    """The destinations of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_parsed(texts, problems)


class DestinationsTopic(DefinitionsTopic):
    """The topic on a broker that answers. Made by ``connected``."""

    unusable_versions: Mapping[str, int] = {}
    """Of records that can't be used; known after a ``read``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.destinations_topic()

    async def read(self) -> dict[str, PublishedDestination]:
        """Everything that is published, deleted ones too; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        found = await self.read_into(Destinations(self.name))
        self.unusable_versions = found.unusable_versions
        return found.published

    async def find(self, name: str) -> PublishedDestination:
        """One that isn't deleted. Raises CommandFailed."""
        published = {key: each for key, each in (await self.read()).items() if not each.deleted}
        if name not in published:
            hint = f"; {name_hint(name, published)}" if published else ": none is published"
            raise CommandFailed(f"there is no destination '{name}'{hint}")
        return published[name]

    async def write(self, changes: Sequence[tuple[PublishedDestination, Action]]) -> None:
        """Publish, and tell each change on the audit topic; the topics are made when they are missing."""
        if not changes:
            return
        told = [told_of(each, action, shell_author()) for each, action in changes]
        await self.write_records([destination_record(each) for each, _ in changes], told)


def told_of(published: PublishedDestination, action: Action, author: Author) -> AuditRecord:
    """What the audit topic is told of a change that is made now."""
    return author.told(
        "destination",
        published.destination.name,
        action,
        time.time_ns() // 1_000_000,
        project=published.destination.project,
        version=published.version,
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[DestinationsTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield DestinationsTopic(settings, admin)
