"""The life cycle of definitions: what HTTP and the command line stand on.

Each change reads all that is published, is decided (``app.publish.decisions``) and written by the one
writer; it works with no worker running. Each change is told on the audit topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient

from agents.backfill.history.completeness import LogBegin
from agents.backfill.history.log_begins import log_begins
from agents.backfill.progress.progress import ProgressOfVersions
from agents.deliver.definitions.published import Destinations
from agents.kafka.clients import committed_consumer, new_admin
from agents.registry.audiences import Audiences
from agents.registry.topic import read_all
from agents.registry.writer import Change
from agents.topics.look import Cluster, look
from agents.topics.make import table_partitions
from app.kafka.admin import connected_admin
from app.kafka.configured import parse_published
from app.publish import decisions
from app.publish.ask import ANY_VERSION, Ask, Expected
from app.publish.audiences import version_floor
from app.publish.author import Author
from app.publish.decisions import Changes
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings
from rules.parse.audience import ParsedAudience

Result = TypeVar("Result")


class Lifecycle:
    """Reads and changes the definitions of all projects. A process has one.

    Every change raises what ``app.publish.decisions`` says, CommandFailed where the account may not write,
    TopicsUnusable where the topic was lost, KafkaError and TimeoutError. After the last two it isn't known
    whether the change was made; whoever asks again with the expected version makes it once.
    """

    def __init__(
        self, settings: Settings, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._settings = settings
        self._wall_ms = wall_ms
        self._topics = DefinitionTopics(settings)
        self._broker = self._topics.broker
        self._plan = self._topics.plan
        self._floor: int | None = None

    async def read(self) -> Audiences:
        """All that is published now. It isn't to be kept: the next call changes it."""
        async with self._admin() as admin:
            return await self._read(await look(admin))

    async def apply(
        self,
        author: Author,
        wanted: Sequence[ParsedAudience],
        gone: Collection[tuple[str, str]] = (),
        *,
        expected: Expected = ANY_VERSION,
        only_new: bool = False,
    ) -> Changes:
        """Publish definitions and delete those of ``gone`` (project, id), all or none."""
        decide = partial(decisions.apply, wanted=wanted, gone=gone, only_new=only_new)
        return await self._change(author, expected, decide, deletes=bool(gone))

    async def check(
        self, author: Author, wanted: Sequence[ParsedAudience], gone: Collection[tuple[str, str]] = ()
    ) -> Changes:
        """What ``apply`` would come to; raises as it does. Nothing is written, and no topic is made."""
        async with self._admin() as admin:
            cluster = await look(admin)
            ask = await self._ask(admin, cluster, author, ANY_VERSION)
            registry = await self._read(cluster)
        if gone:
            ask = _beside(ask, await self._topics.read(self._topics.destinations))
        return (await asyncio.to_thread(decisions.apply, registry, ask, wanted, gone)).result

    async def edit(self, author: Author, wanted: ParsedAudience, expected: Expected) -> Changes:
        """Publish a definition of an audience that is there."""
        return await self._change(author, expected, partial(decisions.edit, wanted=wanted))

    async def delete(
        self, author: Author, project: str, ids: Collection[str], expected: Expected = ANY_VERSION
    ) -> Changes:
        """Delete audiences, all or none."""
        decide = partial(decisions.delete, project=project, ids=ids)
        return await self._change(author, expected, decide, deletes=True)

    async def restore(
        self, author: Author, project: str, name: str, version: int, expected: Expected = ANY_VERSION
    ) -> Changes:
        """Publish the definition of an earlier version once more, as a new version."""
        decide = partial(decisions.restore, project=project, name=name, version=version)
        return await self._change(author, expected, decide)

    async def rebuild(
        self, author: Author, project: str, ids: Collection[str], expected: Expected = ANY_VERSION
    ) -> Changes:
        """Have audiences computed anew from the history."""
        return await self._change(author, expected, partial(decisions.rebuild, project=project, ids=ids))

    async def release(self, author: Author, project: str, name: str, expected: Expected = ANY_VERSION) -> int:
        """Let the version that is held take over; the version."""
        held, _ = await self._standing(project, name)
        decide = partial(decisions.release, project=project, name=name, held=held)
        return await self._change(author, expected, decide)

    async def take_back(
        self, author: Author, project: str, name: str, expected: Expected = ANY_VERSION
    ) -> Changes:
        """Publish the definition that decides now in place of the version that is held."""
        held, in_force = await self._standing(project, name)
        decide = partial(decisions.take_back, project=project, name=name, held=held, in_force=in_force)
        return await self._change(author, expected, decide)

    # -- inside ----------------------------------------------------------------------------------------

    async def _change(
        self,
        author: Author,
        expected: Expected,
        decide: Callable[[Audiences, Ask], Change[Result]],
        *,
        deletes: bool = False,
    ) -> Result:
        async with self._admin() as admin:
            ask = await self._ask(admin, await look(admin), author, expected)
        topics, destinations = self._topics, self._topics.destinations
        if not deletes:
            return await topics.change(topics.audiences, lambda registry: decide(registry, ask))
        return await topics.change(
            topics.audiences,
            lambda registry: decide(registry, _beside(ask, destinations)),
            [destinations],
        )

    async def _ask(
        self, admin: AIOKafkaAdminClient, cluster: Cluster, author: Author, expected: Expected
    ) -> Ask:
        if self._floor is None:  # before a topic is made that was lost
            found = len((await self._read(cluster)).found)
            self._floor = await version_floor(self._broker, admin, self._plan, found)
        logs = await self._logs(cluster)
        return Ask(
            author,
            self._wall_ms(),
            self._floor,
            logs,
            {} if all(each.whole for each in logs) else await self._deciding(cluster),
            self._settings.dedupe.window_ms,
            max_samples=self._settings.state.max_samples,
            expected=expected,
            max_audiences=self._settings.audiences.max_per_project,
        )

    async def _read(self, cluster: Cluster) -> Audiences:
        plan = self._plan
        if plan.audiences not in cluster.topics:
            return Audiences(plan.audiences, partial(parse_published, max_samples=0))
        return await self._topics.read(self._topics.audiences)

    async def _logs(self, cluster: Cluster) -> list[LogBegin]:
        plan = self._plan
        partitions = {name: each.partitions for name, each in cluster.topics.items()}
        if partitions.keys().isdisjoint(plan.sources):
            return []
        table = table_partitions(plan, cluster, self._settings.topics.partitions)
        async with committed_consumer(self._broker) as consumer:
            return await log_begins(consumer, plan.sources, plan.history, partitions, table)

    async def _progress(self, cluster: Cluster) -> tuple[ProgressOfVersions, int]:
        """How far all versions are, and how many partitions the table has."""
        known = ProgressOfVersions(self._plan.progress)
        if known.topic in cluster.topics:
            async with committed_consumer(self._broker) as consumer:
                await read_all(consumer, known)
        return known, table_partitions(self._plan, cluster, self._settings.topics.partitions)

    async def _deciding(self, cluster: Cluster) -> dict[bytes, int]:
        known, table = await self._progress(cluster)
        return {f"{project}/{name}".encode(): each for project, name, each in known.deciding(table)}

    async def _standing(self, project: str, name: str) -> tuple[Collection[int], Collection[int]]:
        """The versions of an audience that are held, and those that took over in some partition."""
        async with self._admin() as admin:
            known, table = await self._progress(await look(admin))
        states = {each: known.state(project, name, each, table) for each in known.versions_of(project, name)}
        held = [each for each, state in states.items() if state.state == "held"]
        return held, [each for each, state in states.items() if state.cut]

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = new_admin(self._broker)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


def _beside(ask: Ask, destinations: Destinations) -> Ask:
    return replace(ask, destinations=[each.definition for each in destinations.live()])


@asynccontextmanager
async def connected_lifecycle(settings: Settings) -> AsyncIterator[Lifecycle]:
    """For a command. Raises CommandFailed when no broker answers, and in place of Kafka's errors."""
    async with connected_admin(settings):
        yield Lifecycle(settings)
