"""Publishing definitions: what is on the topic, what would change, and the change in one go."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audiences import Audiences, audience_record
from agents.registry.audiences_together import as_parsed
from agents.topics.fault import raise_if_unusable
from agents.topics.look import look
from agents.topics.noted import changed, emptied, last_checkpoints, missed_definitions
from agents.topics.plan import TopicPlan, Wanted
from app.kafka.admin import connected_admin
from app.kafka.configured import parse_published
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import check_together
from rules.parse.problems import DefinitionProblem
from rules.parse.references import referrers
from tables.codec import topic_key

Published = Mapping[bytes, PublishedAudience]
"""By the key on the topic, ``project/id``; deleted ones are there, too."""


class AudiencesTopic(DefinitionsTopic):
    """The definitions topic, for one command. Made by ``connected``."""

    unusable_versions: Mapping[bytes, int] = {}
    """Of records that can't be used; known after a ``read``."""
    version_floor = 0
    """Versions of new definitions begin above it; set by ``read_to_change``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.audiences_topic()

    async def read_to_change(self) -> Published:
        """``read``, for publishing what follows from it. Raises TopicsUnusable when the topic was lost."""
        registry = await self._read()
        self.version_floor = await version_floor(self.broker, self.admin, self.plan, len(registry.found))
        return registry.published

    async def read(self) -> Published:
        """Everything that is published now; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        return (await self._read()).published

    async def _read(self) -> Audiences:
        found = await self.read_into(Audiences(self.name, self._parse))
        self.unusable_versions = found.unusable_versions
        return found

    async def write(self, published: Collection[PublishedAudience]) -> None:
        """Publish; the topic is made when it is missing. Returns when replicas have it."""
        if published:
            await self.write_records(map(audience_record, published))

    def _parse(self, text: str, source: str) -> Audience:
        return parse_published(text, source, self.settings.state.max_samples)


async def version_floor(broker: Broker, admin: AIOKafkaAdminClient, plan: TopicPlan, found: int) -> int:
    """Above which number the versions of new definitions begin; ``found``: how many the topic holds.

    Raises TopicsUnusable when the topic was lost: version 1 of a definition would come again then, with
    another body, and nobody would notice.
    """
    cluster, floor = await look(admin), 0
    if plan.changelog not in cluster.topics:
        return floor
    async with new_consumer(broker) as consumer:
        partitions = range(cluster.topics[plan.changelog].partitions)
        checkpoints = (await last_checkpoints(consumer, plan.changelog, partitions)).values()
    for checkpoint in checkpoints:
        floor = max(floor, checkpoint.ground.version_floor)
        noted = checkpoint.ground.topics.get(topic_key(plan.audiences), b"")
        if noted and (fault := changed(plan, plan.audiences, noted, cluster.ids)) is not None:
            raise_if_unusable([fault])
    if found < (known := missed_definitions(checkpoints)):
        raise_if_unusable([emptied(plan, found, known)])
    return floor


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AudiencesTopic]:
    """The definitions topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield AudiencesTopic(settings, admin)


def check_beside_published(
    wanted: Collection[ParsedAudience],
    published: Published,
    found_before: Collection[DefinitionProblem] = (),
) -> list[DefinitionProblem]:
    """What is wrong with definitions beside those already published that they don't replace."""
    replaced = {(each.audience.project, each.audience.id) for each in wanted}
    others = [
        as_parsed(each, f"published audience '{each.audience.id}'")
        for each in published.values()
        if (each.audience.project, each.audience.id) not in replaced
    ]
    # What another program published was wrong before; workers tell it
    # (``agents.registry.audiences_together``).
    before = set(check_together(others))
    problems = [
        each for each in check_together([*others, *wanted], found_before=found_before) if each not in before
    ]
    # A published audience has no line and column.
    return [
        replace(each, hint=re.sub(r"(published audience '\w+'):1:1$", r"\1", each.hint)) for each in problems
    ]


def publication_ms(published: Published, now_ms: int) -> int:
    """The instant of a publication: now, but later than all before, for workers tell new ones by it."""
    return max([now_ms, *(each.created_ms + 1 for each in published.values())])


def check_deletion(ids: Collection[str], project: str, published: Published) -> list[str]:
    """Why published audiences can't be deleted: others, which stay, have them in their rules."""
    staying = [
        each.audience
        for each in published.values()
        if each.audience.project == project and not each.deleted and each.audience.id not in ids
    ]
    faults: list[str] = []
    for wanted in dict.fromkeys(ids):
        if users := referrers(staying, wanted):
            told = ", ".join(f"'{each}'" for each in users)
            faults.append(f"audience '{wanted}' is part of the rule of {told}: delete or change that first")
    return faults
