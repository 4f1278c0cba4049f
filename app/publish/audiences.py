"""Publishing definitions: what is on the topic, what would change, and the change in one go."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.registry.audiences import AudienceChange, definition_keys, publish, read_published
from agents.registry.audiences_together import as_parsed
from agents.restore.restorer import changelog_consumer
from agents.topics import existing, make_missing
from agents.topics.judge import raise_if_unusable
from agents.topics.look import look
from agents.topics.noted import changed, emptied, last_checkpoints, missed_definitions
from app.failures import tell_unusable
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings
from rules.compile.rule_set import PublishedAudience
from rules.model.canonical import condition_key, schedule_scope
from rules.model.language import Audience, Condition, EventCondition, NotFollowed, Sequence, conditions
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import check_together, load_definition
from rules.parse.problems import DefinitionProblem
from rules.parse.references import referrers
from tables.codec import topic_key

READ_SECONDS = 60.0

Published = Mapping[bytes, PublishedAudience]
"""By the key on the topic, ``project/id``; deleted ones are there, too."""

OnEvents: TypeAlias = EventCondition | Sequence | NotFollowed


class AudiencesTopic:
    """The definitions topic, for one command. Made by ``connected``."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._settings = settings
        self._admin = admin
        self._broker = broker_of(settings)
        self._plan = plan_of(settings)
        self.name = self._plan.audiences
        self._exists = False
        self.versions: Mapping[bytes, int] = {}
        """Of records that can't be used; known after a ``read``."""
        self.version_floor = 0
        """Versions of new definitions begin above it; set by ``read_to_change``."""

    async def read_to_change(self) -> Published:
        """``read``, for publishing what follows from it. Raises TopicsUnusable when the topic was lost.

        Then version 1 of a definition would come again, with another body, and nobody would notice.
        """
        published, plan = await self.read(), self._plan
        cluster = await look(self._admin)
        if plan.changelog not in cluster.topics:
            return published
        async with changelog_consumer(broker_of(self._settings)) as consumer:
            partitions = range(cluster.topics[plan.changelog].partitions)
            checkpoints = (await last_checkpoints(consumer, plan.changelog, partitions)).values()
            found = len(await definition_keys(consumer, self.name)) if self._exists else 0
        for checkpoint in checkpoints:
            self.version_floor = max(self.version_floor, checkpoint.ground.version_floor)
            noted = checkpoint.ground.topics.get(topic_key(self.name), b"")
            if noted and (fault := changed(plan, self.name, noted, cluster.ids)) is not None:
                raise_if_unusable([fault])
        if found < (known := missed_definitions(checkpoints)):
            raise_if_unusable([emptied(plan, found, known)])
        return published

    async def read(self) -> Published:
        """Everything that is published now; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        self._exists = self.name in await existing(self._admin)
        if not self._exists:
            return {}
        consumer = AIOKafkaConsumer(**self._broker.consumer_options(), enable_auto_commit=False)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await consumer.start()
                found = await read_published(consumer, self.name, self._parse)
        finally:
            await consumer.stop()
        tell_unusable(found.unusable.values())
        self.versions = found.versions
        return found.published

    async def write(self, published: Collection[PublishedAudience]) -> None:
        """Publish after a ``read``; the topic is made when it was missing. Returns when replicas have it."""
        if not published:
            return
        if not self._exists:
            await make_missing(self._admin, [self._plan.audiences_topic()], self._settings.topics.replication)
        # Not idempotent, which takes a right that clients may lack: a definition written twice does no harm.
        producer = AIOKafkaProducer(**self._broker.client_options(), acks="all")
        try:
            await producer.start()
            await publish(producer, self.name, list(published))
        finally:
            await producer.stop()

    def _parse(self, text: str, source: str) -> Audience:
        return load_definition(f"{source}.json", text, self._settings.state.max_samples)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AudiencesTopic]:
    """The definitions topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield AudiencesTopic(settings, admin)


def check_beside_published(
    wanted: Collection[ParsedAudience], published: Published
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
    problems = [each for each in check_together([*others, *wanted]) if each not in before]
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


def new_event_conditions(
    changes: Iterable[AudienceChange], published: Published
) -> dict[tuple[str, str], list[OnEvents]]:
    """Per changed audience (project, id), its conditions on events that no published audience has.

    They have seen nothing yet: they count from the moment they are published.
    """
    known = {
        _key(each.audience, condition)
        for each in published.values()
        if not each.deleted
        for condition in conditions(each.audience.rule)
    }
    found: dict[tuple[str, str], list[OnEvents]] = {}
    for change in changes:
        audience = change.audience
        fresh = {
            _key(audience, condition): condition
            for condition in conditions(audience.rule)
            if isinstance(condition, OnEvents) and _key(audience, condition) not in known
        }
        if fresh and change.action in ("created", "changed"):
            found[audience.project, audience.id] = list(fresh.values())
    return found


def _key(audience: Audience, condition: Condition) -> tuple[str, int]:
    project = audience.project
    return project, condition_key(project, condition, audience.timezone, schedule_scope(audience))
