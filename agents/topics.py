"""The topics a worker reads and writes: their names, and making those that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from agents.api_keys import keys_topic

log = structlog.get_logger("turnstile.topics")

LARGE_MESSAGE_BYTES = 8 * 1024 * 1024
"""For topics that must take whatever the input brings, and more: dead letters, re-keyed records, rows."""


REKEYED_BYTES = 1024 * 1024 * 1024
"""Kept per partition of the topic of re-keyed records."""


class TopicsUnusable(Exception):
    """The topics on the broker don't fit the settings; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Every topic's name. ``events`` are the inputs; all but ``transitions`` are co-partitioned."""

    prefix: str
    app_id: str
    events: Sequence[str]

    @property
    def rekeyed(self) -> str:
        return f"{self.prefix}.rekeyed"

    @property
    def transitions(self) -> str:
        return f"{self.prefix}.transitions"

    @property
    def audiences(self) -> str:
        return f"{self.prefix}.audiences"

    @property
    def keys(self) -> str:
        return keys_topic(self.prefix)

    @property
    def changelog(self) -> str:
        return f"{self.app_id}-profiles-changelog"

    @property
    def sources(self) -> list[str]:
        return [*self.events, self.rekeyed]


async def existing(admin: AIOKafkaAdminClient) -> Mapping[str, int]:
    """Topic name to number of partitions."""
    described = await admin.describe_topics()
    return {each["topic"]: len(each["partitions"]) for each in described if not each["error_code"]}


async def ensure_topics(
    admin: AIOKafkaAdminClient, plan: TopicPlan, partitions: int, replication: int
) -> Mapping[str, int]:
    """Make what is missing and check the rest; the partitions of every topic of the plan.

    A source topic that exists decides the number of partitions; ``partitions`` is for new ones. Raises
    TopicsUnusable when source topics differ in it, or when the changelog was made for another number.
    """
    known = await existing(admin)
    found = {name: known[name] for name in plan.events if name in known}
    if len(set(found.values())) > 1:
        raise TopicsUnusable(
            "topics.events must all have the same number of partitions, found "
            + ", ".join(f"{name}: {count}" for name, count in sorted(found.items()))
        )
    count = next(iter(found.values()), partitions)
    for name in (plan.rekeyed, plan.changelog):
        if known.get(name, count) != count:
            raise TopicsUnusable(
                f"{name} has {known[name]} partitions but the source topics have {count}: "
                "a user's place depends on their number. Use another topics.prefix and worker.app_id, "
                "or give the source topics their old number of partitions"
            )
    large = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
    wanted: dict[str, tuple[int, dict[str, str]]] = {name: (count, {}) for name in plan.events}
    # Re-keyed records keep their timestamps, and a broker's retention by time looks at those.
    by_size = {"retention.ms": "-1", "retention.bytes": str(REKEYED_BYTES)}
    wanted[plan.rekeyed] = (count, {**large, **by_size})
    wanted[plan.changelog] = (count, {**large, "cleanup.policy": "compact"})
    wanted[plan.transitions] = (count, {})
    wanted[plan.audiences] = (1, {"cleanup.policy": "compact"})
    wanted[plan.keys] = (1, {"cleanup.policy": "compact"})
    for name in plan.events:
        wanted[f"{name}.dlq"] = (count, large)
    missing = {name: each for name, each in wanted.items() if name not in known}
    if missing:
        await create_topics(admin, missing, replication)
    return {name: known.get(name, each[0]) for name, each in wanted.items()}


async def create_topics(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, tuple[int, Mapping[str, str]]], replication: int
) -> None:
    """Create topics: name to (partitions, configuration). One that another worker made first is fine."""
    topics = [
        NewTopic(name, partitions, replication, topic_configs=dict(configs))
        for name, (partitions, configs) in wanted.items()
    ]
    response = await admin.create_topics(topics)
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise TopicsUnusable(f"the broker did not make topic {name}: {error.__name__}")
    log.info("topics_made", topics=sorted(wanted))
