"""Publishing definitions: what is on the topic, what would change, and the change in one go."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audiences_together import as_parsed
from agents.topics.fault import raise_if_unusable
from agents.topics.look import look
from agents.topics.noted import changed, emptied, last_checkpoints, missed_definitions
from agents.topics.plan import TopicPlan
from rules.compile.audience import PublishedAudience
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import check_together
from rules.parse.problems import DefinitionProblem
from rules.parse.references import referrers
from tables.codec import topic_key

Published = Mapping[bytes, PublishedAudience]
"""By the key on the topic, ``project/id``; deleted ones are there, too."""


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
