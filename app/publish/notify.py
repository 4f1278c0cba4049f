"""The topic of notify addresses, for one change: what is on it, and changing it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from agents.notices.addresses import NotifyAddress, NotifyAddresses, address_record
from agents.topics.plan import TopicPlan, Wanted
from app.kafka.admin import connected_admin
from app.publish.author import Author
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings


class NotifyTopic(DefinitionsTopic):
    """The topic on a broker that answers. Made by ``connected``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.notify_topic()

    async def set(self, project: str, address: NotifyAddress, author: Author) -> NotifyAddress:
        """Have a project's notices go to an address; as it was written, with a number of its own."""
        found = await self.read_into(NotifyAddresses(self.name), tell=False)
        before = found.published.get(project)
        now_ms = time.time_ns() // 1_000_000
        address = replace(
            address,
            number=found.numbers.get(project, 0) + 1,
            since_ms=now_ms if before is None else before.since_ms,
        )
        action = author.told(
            "notify",
            address.notify_id,
            "created" if before is None else "changed",
            now_ms,
            project=project,
            version=address.number,
        )
        await self.write_records([address_record(project, address)], [action])
        return address

    async def delete(self, project: str, author: Author) -> None:
        """Have a project get no more notices. Nothing is written where it gets none."""
        found = await self.read_into(NotifyAddresses(self.name), tell=False)
        before = found.published.get(project)
        if before is None and project.encode() not in found.unusable:
            return
        told = author.told(
            "notify",
            "" if before is None else before.notify_id,
            "deleted",
            time.time_ns() // 1_000_000,
            project=project,
        )
        await self.write_records([address_record(project, None)], [told])


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[NotifyTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield NotifyTopic(settings, admin)
