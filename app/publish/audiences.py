"""Publishing definitions: what is on the topic, what would change, and the change in one go."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from agents.kafka.clients import new_consumer
from agents.registry.audiences import AudienceChange, Audiences, audience_record
from agents.registry.audiences_together import as_parsed
from agents.topics.judge import raise_if_unusable
from agents.topics.look import look
from agents.topics.noted import changed, emptied, last_checkpoints, missed_definitions
from agents.topics.plan import TopicPlan, Wanted
from app.kafka.admin import connected_admin
from app.kafka.configured import parse_published
from app.publish.topic import DefinitionsTopic
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.model.canonical import condition_key, schedule_scope
from rules.model.language import Audience, Condition, EventCondition, NotFollowed, Sequence, conditions
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import check_together
from rules.parse.problems import DefinitionProblem
from rules.parse.references import referrers
from tables.codec import topic_key

Published = Mapping[bytes, PublishedAudience]
"""By the key on the topic, ``project/id``; deleted ones are there, too."""

OnEvents: TypeAlias = EventCondition | Sequence | NotFollowed


class AudiencesTopic(DefinitionsTopic):
    """The definitions topic, for one command. Made by ``connected``."""

    versions: Mapping[bytes, int] = {}
    """Of records that can't be used; known after a ``read``."""
    version_floor = 0
    """Versions of new definitions begin above it; set by ``read_to_change``."""

    @staticmethod
    def wanted(plan: TopicPlan) -> Wanted:
        return plan.audiences_topic()

    async def read_to_change(self) -> Published:
        """``read``, for publishing what follows from it. Raises TopicsUnusable when the topic was lost.

        Then version 1 of a definition would come again, with another body, and nobody would notice.
        """
        registry, plan = await self._read(), self.plan
        cluster = await look(self.admin)
        if plan.changelog not in cluster.topics:
            return registry.published
        async with new_consumer(self.broker) as consumer:
            partitions = range(cluster.topics[plan.changelog].partitions)
            checkpoints = (await last_checkpoints(consumer, plan.changelog, partitions)).values()
        for checkpoint in checkpoints:
            self.version_floor = max(self.version_floor, checkpoint.ground.version_floor)
            noted = checkpoint.ground.topics.get(topic_key(self.name), b"")
            if noted and (fault := changed(plan, self.name, noted, cluster.ids)) is not None:
                raise_if_unusable([fault])
        found = len(registry.found)
        if found < (known := missed_definitions(checkpoints)):
            raise_if_unusable([emptied(plan, found, known)])
        return registry.published

    async def read(self) -> Published:
        """Everything that is published now; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        return (await self._read()).published

    async def _read(self) -> Audiences:
        found = await self.read_into(Audiences(self.name, self._parse))
        self.versions = found.versions
        return found

    async def write(self, published: Collection[PublishedAudience]) -> None:
        """Publish; the topic is made when it is missing. Returns when replicas have it."""
        if published:
            await self.write_records(map(audience_record, published))

    def _parse(self, text: str, source: str) -> Audience:
        return parse_published(text, source, self.settings.state.max_samples)


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
