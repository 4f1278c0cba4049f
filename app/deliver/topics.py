"""The topics under a delivery worker: destinations that are lost, topics that are made again under it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.deliver.definitions.published import group_name
from agents.topics.fault import TopicsUnusable
from agents.topics.look import look, shown_id
from agents.topics.plan import TopicPlan

log = structlog.get_logger("turnstile.topics")

LOOK_SECONDS = 60.0
"""Between two looks at the topics."""


async def generations(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, int]:
    """The destinations that consumer groups deliver to, with the highest generation that has one."""
    found: dict[str, int] = {}
    start = group_name(prefix, "")
    for group, *_ in await admin.list_consumer_groups():
        if group.startswith(start):
            name, *rest = group.removeprefix(start).split(".")
            generation = int(rest[0]) if rest and rest[0].isdigit() else 1
            found[name] = max(found.get(name, 0), generation)
    return found


async def check_destinations(admin: AIOKafkaAdminClient, plan: TopicPlan, known: Collection[str]) -> None:
    """Raises TopicsUnusable when groups deliver to destinations that are not on the destinations topic.

    ``known``: those that are there, deleted ones included, for a deleted one stays there.
    """
    lost = sorted((await generations(admin, plan.prefix)).keys() - set(known))
    if lost:
        group = group_name(plan.prefix, lost[0])
        raise TopicsUnusable(
            f"{plan.destinations} does not hold the destinations {', '.join(lost)}, but they have consumer "
            f"groups ({group}): the topic was deleted, made again or emptied, and nothing would be delivered "
            "to them. Publish them again with `turnstile destinations apply FILES`: they go on where they "
            "stopped. For one that is gone for good: `kafka-consumer-groups.sh --delete --group NAME`"
        )


async def watch_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> None:
    """Raises TopicsUnusable when one of these topics is another one than at the start, or gone."""
    before = (await look(admin, names)).ids
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            changed = _changed(before, (await look(admin, names)).ids)
            if changed:
                await asyncio.sleep(LOOK_SECONDS / 30)  # brokers learn of topics one after the other
                changed = _changed(before, (await look(admin, names)).ids)
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("topics_not_seen", error=repr(error))
            continue
        if changed:
            raise TopicsUnusable("\n".join(changed))


def _changed(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> list[str]:
    found = []
    for name, topic_id in before.items():
        if name not in now:
            found.append(f"{name} does not exist any more: make it again with `turnstile topics apply`")
        elif topic_id and now[name] and now[name] != topic_id:
            found.append(
                f"{name} was deleted and made again (its id is {shown_id(now[name])} and was "
                f"{shown_id(topic_id)}): start this process again, which then reads it from its beginning"
            )
    return found
