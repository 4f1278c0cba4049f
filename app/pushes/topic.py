"""The topics of pushes, for one command: what is on them, and changing it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from agents.connections.published import Connections, PublishedConnections
from agents.pushes.contract.parse import load_parsed
from agents.pushes.contract.parse_push import ParsedPush
from agents.pushes.published import PublishedPush, Pushes, push_record
from agents.pushes.runs import Action as Asked
from agents.pushes.runs import Ledger, Request, Run, record_of
from agents.registry.audit import Action, AuditRecord
from agents.topics.plan import TopicPlan, Wanted
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.publish.audiences import AudiencesTopic
from app.publish.author import Author, shell_author
from app.publish.files import read_definition_files
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings
from rules.parse.problems import name_hint


def load_push_files(paths: Sequence[Path]) -> list[ParsedPush]:
    """The pushes of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_parsed(texts, problems)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def told_of(published: PublishedPush, action: Action, author: Author) -> AuditRecord:
    """What the audit topic is told of a change that is made now."""
    push = published.push
    return author.told("push", push.name, action, now_ms(), project=push.project, version=published.version)


def request_of(
    action: Asked,
    project: str,
    push: str,
    run: str = "",
    by: str = "",
    *,
    version: int = 0,
    list: str = "",
) -> Request:
    """A new one, made now."""
    return Request(secrets.token_hex(8), action, project, push, now_ms(), run, by, version, list)


class PushesTopic(DefinitionsTopic):
    """The definitions, on a broker that answers."""

    unusable_versions: Mapping[str, int] = {}
    """Of records that can't be used; known after a ``read``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.push_topics()[0]

    async def read(self) -> dict[str, PublishedPush]:
        """By ``project/name``, deleted ones too. Records that can't be used are told on standard error."""
        found = await self.read_into(Pushes(self.name))
        self.unusable_versions = found.unusable_versions
        return found.published

    async def find(self, project: str, name: str) -> PublishedPush:
        """One that isn't deleted. Raises CommandFailed."""
        published = {key: each for key, each in (await self.read()).items() if not each.deleted}
        key = f"{project}/{name}"
        if key not in published:
            names = [each.push.name for each in published.values() if each.push.project == project]
            hint = f"; {name_hint(name, names)}" if names else ": none is published"
            raise CommandFailed(f"there is no push '{name}' in project {project}{hint}")
        return published[key]

    async def write(self, changes: Sequence[tuple[PublishedPush, Action]]) -> None:
        """Publish, and tell each change on the audit topic."""
        if changes:
            told = [told_of(each, action, shell_author()) for each, action in changes]
            await self.write_records([push_record(each) for each, _ in changes], told)


class ConnectionsRead(DefinitionsTopic):
    """The connections, to be read."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.connections_topic()

    async def read(self) -> PublishedConnections:
        return (await self.read_into(Connections(self.name), tell=False)).published


class RunsTopic(DefinitionsTopic):
    """The ledger, on a broker that answers."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.push_topics()[1]

    async def read(self) -> Ledger:
        return await self.read_into(Ledger(self.name))

    async def find(self, run: str) -> Run:
        """Raises CommandFailed."""
        found = (await self.read()).find(run)
        if found is None:
            raise CommandFailed(f"there is no run '{run}': `turnstile push history` lists them")
        return found

    async def ask(self, request: Request) -> None:
        """Have the process that leads do something; returns when the request is certain."""
        await self.write_records([record_of(request)])


class PushTopics:
    """Both of them, and what definitions name: connections and audiences."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self.pushes = PushesTopic(settings, admin)
        self.runs = RunsTopic(settings, admin)
        self.connections = ConnectionsRead(settings, admin)
        self.audiences = AudiencesTopic(settings, admin)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[PushTopics]:
    """The topics, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield PushTopics(settings, admin)
