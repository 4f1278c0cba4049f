"""What is published, and how far its versions are: for the commands that look at it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agents.backfill.progress.progress import ProgressOfVersions, VersionState
from agents.kafka.clients import new_consumer
from agents.registry.audiences import Audiences
from agents.registry.topic import read_all
from agents.topics.look import look
from agents.topics.make import table_partitions
from app.commands.authoring.audiences.following.progress_text import Awaited
from app.commands.authoring.audiences.planned.plan import Plan
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.parse.problems import name_hint


@dataclass(frozen=True, slots=True)
class Known:
    """All of it as it was when it was read."""

    audiences: Audiences
    progress: ProgressOfVersions
    partitions: int
    """Of the table."""

    def state(self, published: PublishedAudience) -> VersionState | None:
        """How far a version is; None: no worker has told anything of it."""
        audience = published.audience
        key = audience.project, audience.id, published.version
        return self.progress.state(*key, self.partitions) if self.progress.of(*key) else None

    def unready(self, plan: Plan) -> list[Awaited]:
        """What the plan leaves as it is and workers still compute, or somebody must release."""
        found: list[Awaited] = []
        for each in plan.of("same"):
            assert each.before is not None
            state = self.state(each.before)
            if state is not None and not state.is_ready:
                found.append(Awaited(*each.id, each.before.version))
        return found

    def released(self, awaited: Collection[Awaited]) -> list[Awaited]:
        """Those that somebody has released."""
        released = self.audiences.released
        return [each for each in awaited if (f"{each.project}/{each.id}".encode(), each.version) in released]

    def in_force(self, project: str | None = None) -> Iterator[PublishedAudience]:
        """The latest versions of those that aren't deleted, by project and id."""
        for _, each in sorted(self.audiences.published.items()):
            if not each.deleted and project in (None, each.audience.project):
                yield each

    def find(self, project: str, ids: Collection[str], *, deleted: bool = False) -> list[PublishedAudience]:
        """The latest versions of some, each once. ``deleted``: of those that are deleted, too.

        Raises CommandFailed with all that aren't there.
        """
        there = {
            each.audience.id: each
            for each in self.audiences.published.values()
            if each.audience.project == project and (deleted or not each.deleted)
        }
        check_known(ids, there, project)
        return [there[id] for id in dict.fromkeys(ids)]

    def versions(self, published: PublishedAudience) -> dict[int, PublishedAudience]:
        """Every version of an audience, by number, the oldest first."""
        key = f"{published.audience.project}/{published.audience.id}".encode()
        return dict(sorted(self.audiences.versions.get(key, {}).items()))


def check_known(ids: Collection[str], there: Collection[str], project: str) -> None:
    """Raises CommandFailed with every id that isn't there, and the nearest one that is."""
    where = f"in project '{project}'"
    unknown = [each for each in dict.fromkeys(ids) if each not in there]
    if unknown and not there:
        raise CommandFailed(f"there is no audience {where}")
    if unknown:
        told = [f"there is no audience '{each}' {where}; {name_hint(each, there)}" for each in unknown]
        raise CommandFailed("\n".join(told))


async def read_known(settings: Settings) -> Known:
    """Raises CommandFailed when no broker answers. Records that can't be used are told on standard error."""

    async with connected_admin(settings) as admin:
        topics = DefinitionTopics(settings, tells=True)
        audiences = await topics.read(topics.audiences)
        cluster = await look(admin)
        progress = ProgressOfVersions(topics.plan.progress)
        if progress.topic in cluster.topics:
            async with new_consumer(topics.broker) as consumer:
                await read_all(consumer, progress)
        partitions = table_partitions(topics.plan, cluster, settings.topics.partitions)
    return Known(audiences, progress, partitions)
