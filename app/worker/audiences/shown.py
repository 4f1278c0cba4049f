"""Audiences as this worker knows them, as answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from agents.backfill.progress.progress import ProgressOfVersions
from agents.registry.audiences import record_key
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from app.http.answers import Json
from app.http.if_match import etag
from app.http.problems import HttpProblem
from app.publish.refused import NotPublished
from app.settings.tree import Settings
from app.worker.audiences.answers import AudienceShown, audience_shown
from rules.compile.audience import PublishedAudience
from rules.parse.problems import name_hint

SEEN_SECONDS = 5.0
"""How long an answer waits until this worker has read the change."""


class Followed(Protocol):
    """What requests about definitions need of a worker."""

    settings: Settings
    feed: AudiencesFeed
    progress: Feed[ProgressOfVersions]
    partitions: int


class FollowedVersions(Protocol):
    """Definitions and their progress, as a process knows them."""

    @property
    def feed(self) -> AudiencesFeed: ...

    @property
    def progress(self) -> Feed[ProgressOfVersions]: ...

    @property
    def partitions(self) -> int: ...


class Known:
    """The definitions and the progress that a process follows."""

    def __init__(self, worker: FollowedVersions) -> None:
        self._worker = worker

    @property
    def feed(self) -> AudiencesFeed:
        return self._worker.feed

    def present(self, project: str, name: str) -> PublishedAudience:
        published = self.feed.published
        found = published.get(f"{project}/{name}".encode())
        if found is not None and not found.deleted:
            return found
        ids = [e.audience.id for e in published.values() if e.audience.project == project and not e.deleted]
        hint = name_hint(name, ids) if ids else ""
        raise HttpProblem(404, NotPublished.title, f"project {project!r} has no audience {name!r}", hint=hint)

    def all_versions(self, project: str, name: str) -> Mapping[int, PublishedAudience]:
        versions = self.feed.registry.versions.get(f"{project}/{name}".encode())
        if not versions:
            self.present(project, name)
        return versions or {}

    def shown(self, published: PublishedAudience, size: int | None = None) -> AudienceShown:
        worker, audience = self._worker, published.audience
        state = worker.progress.registry.state(
            audience.project, audience.id, published.version, worker.partitions
        )
        is_released = (record_key(audience), published.version) in self.feed.released
        return audience_shown(published, state, is_released, size)

    def answer(
        self, published: PublishedAudience, status: int = 200, size: int | None = None
    ) -> Json[AudienceShown]:
        answer = Json(self.shown(published, size), status)
        answer.headers["ETag"] = etag(published.version)
        return answer

    async def seen(self, project: str, name: str, version: int) -> PublishedAudience:
        """A version, when this worker has read it. Raises HttpProblem where that takes too long."""
        key, feed = f"{project}/{name}".encode(), self.feed
        deadline = asyncio.get_running_loop().time() + SEEN_SECONDS
        while version not in feed.versions.get(key, {}):
            if asyncio.get_running_loop().time() > deadline:
                detail = f"version {version} is published, but this worker hasn't read it yet"
                raise HttpProblem(503, "Not available now", detail)
            await asyncio.sleep(0.02)
        return feed.versions[key][version]
