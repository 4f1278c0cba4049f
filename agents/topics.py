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

CHANGELOG_CONFIGS = {"cleanup.policy": "compact", "compression.type": "zstd"}
"""The broker compresses rows to less than half of their bytes (docs/decisions/0014)."""


class TopicsUnusable(Exception):
    """The topics on the broker don't fit the settings; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Every topic's name. ``events`` are the inputs, with any number of partitions."""

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

    @staticmethod
    def dead_letters(source: str) -> str:
        return f"{source}.dlq"

    @property
    def sources(self) -> list[str]:
        return [*self.events, self.rekeyed]


async def existing(admin: AIOKafkaAdminClient) -> Mapping[str, int]:
    """Topic name to number of partitions."""
    described = await admin.describe_topics()
    return {each["topic"]: len(each["partitions"]) for each in described if not each["error_code"]}


def table_count(known: Mapping[str, int], plan: TopicPlan, partitions: int) -> int:
    """The table's number of partitions: its changelog's, for good, because a user's place depends on it.

    Where there is no changelog yet: that of the re-keyed topic, else the largest of the source topics, else
    ``partitions``. ``known``: partitions of the topics that exist. Raises TopicsUnusable.
    """
    largest = max((known.get(name, 0) for name in plan.events), default=0)
    count = known.get(plan.changelog) or known.get(plan.rekeyed) or largest or partitions
    if known.get(plan.rekeyed, count) < count:
        raise TopicsUnusable(
            f"{plan.rekeyed} has {known[plan.rekeyed]} partitions, but {plan.changelog} has {count}: records "
            "that came to another user's partition go through it, so it needs as many. Add them: "
            f"kafka-topics.sh --alter --topic {plan.rekeyed} --partitions {count}"
        )
    return count


async def ensure_topics(
    admin: AIOKafkaAdminClient, plan: TopicPlan, partitions: int, replication: int
) -> Mapping[str, int]:
    """Make what is missing and check the rest; the partitions of every topic of the plan.

    ``partitions`` is for source topics that are made. Raises TopicsUnusable.
    """
    known = await existing(admin)
    count = table_count(known, plan, partitions)
    large = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
    wanted: dict[str, tuple[int, dict[str, str]]] = {
        name: (known.get(name, count), {}) for name in plan.events
    }
    # Re-keyed records keep their timestamps, and a broker's retention by time looks at those.
    by_size = {"retention.ms": "-1", "retention.bytes": str(REKEYED_BYTES)}
    wanted[plan.rekeyed] = (count, {**large, **by_size})
    wanted[plan.changelog] = (count, {**large, **CHANGELOG_CONFIGS})
    wanted[plan.transitions] = (count, {})
    wanted[plan.audiences] = (1, {"cleanup.policy": "compact"})
    wanted[plan.keys] = (1, {"cleanup.policy": "compact"})
    for name in (*plan.sources, plan.transitions):
        wanted[plan.dead_letters(name)] = (wanted[name][0], large)
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
