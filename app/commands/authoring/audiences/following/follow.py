"""Waiting until published versions are ready, as the progress topic tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.backfill.progress.progress import ProgressOfVersions, VersionState, progress_feed
from agents.kafka.clients import new_consumer
from agents.topics import existing
from agents.topics.look import look
from agents.topics.make import table_partitions
from agents.topics.plan import TopicPlan
from agents.warnings import Warnings
from app.commands.authoring.audiences.following.bars import Screen
from app.commands.authoring.audiences.following.progress_text import Awaited
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings

FRAME_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 2.0
"""How often it is asked whether workers and the progress topic are there, while nothing moves."""
NO_WORKER_SECONDS: Final = 15.0
"""So long nobody may be in the workers' group: one that starts needs some seconds to join it."""

Ending: TypeAlias = Literal["ready", "not_ready", "no_worker", "timeout"]
"""All are ready; some are held, failed or overtaken; nobody computes them; the time is over."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How it ended, and what was known then."""

    ending: Ending
    states: Mapping[Awaited, VersionState]
    overtaken: frozenset[Awaited] = frozenset()
    """Somebody published a later version before these were ready."""


class Follower:
    """Follows the progress of some versions on a broker that answers."""

    def __init__(
        self,
        settings: Settings,
        admin: AIOKafkaAdminClient,
        awaited: Collection[Awaited],
        released: Collection[Awaited] = (),
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._plan: TopicPlan = plan_of(settings)
        self._awaited = awaited
        self._released = released
        self._partitions = 0
        self._moved_at = time.monotonic()
        self._looked_at = 0.0

    async def follow(self, screen: Screen, wait_seconds: float | None) -> Followed:
        """Show progress until it ends. ``wait_seconds``: so long at most; None: as long as somebody works."""
        deadline = None if wait_seconds is None else time.monotonic() + wait_seconds
        broker = broker_of(self._settings)
        feed = progress_feed(lambda: new_consumer(broker), self._plan.progress, Warnings(), self._moved)
        reading: asyncio.Task[None] | None = None
        try:
            while True:
                if reading is None and await self._is_there():
                    reading = asyncio.create_task(feed.run())
                if reading is not None and reading.done():
                    reading.result()  # raises what ended it
                found = self._found(feed.registry)
                if self._partitions and (reading is None or feed.loaded.is_set()):
                    screen.show(found.states)
                if found.ending == "ready" or self._all_ended(found):
                    return found
                if deadline is not None and time.monotonic() > deadline:
                    return Followed("timeout", found.states, found.overtaken)
                if await self._nobody_works():
                    return Followed("no_worker", found.states, found.overtaken)
                await asyncio.sleep(FRAME_SECONDS)
        finally:
            if reading is not None:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    def _found(self, known: ProgressOfVersions) -> Followed:
        states = {each: known.state(*each, self._partitions) for each in self._awaited}
        overtaken = frozenset(
            each
            for each, state in states.items()
            if not state.is_ready and known.versions_of(each.project, each.id)[-1:] > [each.version]
        )
        is_ready = all(each.is_ready for each in states.values())
        return Followed("ready" if is_ready else "not_ready", states, overtaken)

    def _all_ended(self, found: Followed) -> bool:
        return all(
            each in found.overtaken
            or state.state in ("ready", "failed")
            or (state.state == "held" and each not in self._released)
            for each, state in found.states.items()
        )

    async def _is_there(self) -> bool:
        """Whether workers have made the topic of progress."""
        return self._is_time_to_look() and self._plan.progress in await existing(self._admin)

    async def _nobody_works(self) -> bool:
        """Nothing moved for a while, and the workers' group is empty."""
        if not self._is_time_to_look():
            return False
        self._looked_at = time.monotonic()
        cluster = await look(self._admin)
        self._partitions = table_partitions(self._plan, cluster, self._settings.topics.partitions)
        if await self._has_members():
            self._moved()
        return time.monotonic() - self._moved_at > NO_WORKER_SECONDS

    async def _has_members(self) -> bool:
        """Whether somebody is in the workers' group; where we may not ask, we believe so."""
        try:
            answers = await self._admin.describe_consumer_groups([self._plan.app_id])
        except GroupCoordinatorNotAvailableError:  # nobody ever was in any group
            return False
        groups = [each for answer in answers for each in answer.to_object()["groups"]]
        return any(each["members"] or each["error_code"] for each in groups)

    def _is_time_to_look(self) -> bool:
        return time.monotonic() - self._looked_at >= LOOK_SECONDS

    def _moved(self) -> None:
        self._moved_at = time.monotonic()


async def follow(
    settings: Settings,
    awaited: Collection[Awaited],
    screen: Screen,
    wait_seconds: float | None,
    released: Collection[Awaited] = (),
) -> Followed:
    """Show how far versions are until all are ready, or can't become ready without somebody's doing.

    ``released`` are those that go on although they are held: workers haven't read yet that they may. Raises
    CommandFailed when no broker answers.
    """
    async with connected_admin(settings) as admin:
        with screen:
            return await Follower(settings, admin, awaited, released).follow(screen, wait_seconds)
