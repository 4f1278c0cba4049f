"""The topic of API keys, for one command: what is on it, and changing it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from agents.registry.api_keys import KeyRecord, encode_key
from agents.registry.api_keys_topic import ApiKeys
from agents.registry.audit import Action
from agents.registry.unusable import UnusableRecord
from agents.topics.plan import TopicPlan, Wanted
from app.kafka.admin import connected_admin
from app.publish.author import shell_author
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings


class KeysTopic(DefinitionsTopic):
    """The topic on a broker that answers. Made by ``connected``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.keys_topic()

    async def read(self) -> Mapping[str, KeyRecord | UnusableRecord]:
        """Everything on it by name, revoked ones too; nothing when there is no such topic yet."""
        keys = await self.read_into(ApiKeys(self.name), tell=False)
        unusable = {(key or b"").decode("utf-8", "replace"): each for key, each in keys.unusable.items()}
        return {**keys.published, **unusable}

    async def write(self, name: str, key: KeyRecord, action: Action) -> None:
        """Publish one; the topic is made when it is missing. Returns when all replicas have it.

        ``action``: what is told on the audit topic, in each of its projects.
        """
        now_ms, author = time.time_ns() // 1_000_000, shell_author()
        changes = [author.told("key", name, action, now_ms, project=each) for each in key.projects]
        await self.write_records([(name.encode(), encode_key(key))], changes)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[KeysTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield KeysTopic(settings, admin)
