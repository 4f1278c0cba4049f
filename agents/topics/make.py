"""Making the topics that are missing, and changing settings of those that there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from agents.kafka.requests import SET, SetConfigsRequest
from agents.topics.everywhere import until_everywhere
from agents.topics.fault import TopicsUnusable, raise_if_unusable
from agents.topics.judge import judge, missing_sources
from agents.topics.look import Cluster, Topic, look
from agents.topics.plan import TopicPlan, Wanted, copies, wanted_topics

log = structlog.get_logger("turnstile.topics")

_TOPIC = 2
"""The type of resource in requests about settings."""


def table_partitions(plan: TopicPlan, cluster: Cluster, partitions: int) -> int:
    """The table's number of partitions: its changelog's, for good, because a user's place depends on it.

    With no changelog yet: that of the repartition topic, otherwise that of the history topics (history may be
    imported first of all), otherwise the largest of the source topics, otherwise ``partitions``.
    """
    known = {name: each.partitions for name, each in cluster.topics.items()}
    history = max((known.get(name, 0) for name in plan.history), default=0)
    largest = max((known.get(name, 0) for name in plan.events), default=0)
    return known.get(plan.changelog) or known.get(plan.repartition) or history or largest or partitions


async def ensure_topics(
    admin: AIOKafkaAdminClient,
    plan: TopicPlan,
    partitions: int,
    replication: int | None,
    *,
    create_sources: bool = False,
) -> Mapping[str, int]:
    """Check what is there, then make what is missing; the partitions of every topic of the plan.

    ``partitions`` is for a new table and new source topics. These are made only with ``create_sources``;
    where one is missing otherwise, nothing at all is made. Raises TopicsUnusable with all that is wrong.
    """
    cluster = await look(admin, plan.names, plan.names)
    if not create_sources and missing_sources(plan, cluster):
        raise_if_unusable(missing_sources(plan, await look(admin)))  # with the nearest names of all there are
    known = {name: each.partitions for name, each in cluster.topics.items()}
    wanted = wanted_topics(plan, table_partitions(plan, cluster, partitions), known)
    raise_if_unusable(judge(wanted, cluster))
    await _make([each for each in wanted if each.name not in cluster.topics], admin, cluster, replication)
    return {each.name: known.get(each.name, each.partitions) for each in wanted}


async def make_missing(
    admin: AIOKafkaAdminClient, wanted: Collection[Wanted], replication: int | None
) -> Cluster:
    """Make those topics that don't exist; what was there before. Raises TopicsUnusable."""
    cluster = await look(admin, configs_of=[each.name for each in wanted])
    await _make([each for each in wanted if each.name not in cluster.topics], admin, cluster, replication)
    return cluster


async def _make(
    missing: Collection[Wanted], admin: AIOKafkaAdminClient, cluster: Cluster, replication: int | None
) -> None:
    if missing:
        number = copies(replication, cluster.brokers)
        made = {each.name: (each.partitions, each.made_with(number)) for each in missing}
        await create_topics(admin, made, number)


async def create_topics(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, tuple[int, Mapping[str, str]]], replication: int
) -> None:
    """Create topics: name to (partitions, configuration). One that another worker made first is fine.

    Returns when every broker shows them, because the controller answers before its brokers have heard.
    Raises TopicsUnusable.
    """
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

    def are_there(found: Mapping[str, Topic]) -> bool:
        return found.keys() >= wanted.keys() and all(each.is_led for each in found.values())

    await until_everywhere(admin, wanted, are_there, f"{', '.join(sorted(wanted))}: made")


async def set_configs(admin: AIOKafkaAdminClient, topic: str, configs: Mapping[str, str]) -> None:
    """Give some settings of a topic values; the others stay. Raises TopicsUnusable.

    Returns when every broker shows them. Its logs may follow them a moment later.
    """
    values = [(name, SET, value) for name, value in configs.items()]
    response = await admin._send_to_controller(SetConfigsRequest([(_TOPIC, topic, values)]))
    for code, message, _, name in response.resources:
        if code:
            raise TopicsUnusable(
                f"the broker did not change the settings of {name}: {message or for_code(code).__name__}"
            )

    def are_set(found: Mapping[str, Topic]) -> bool:
        shown = found[topic].configs if topic in found else {}
        return shown is None or configs.items() <= shown.items()  # None: we may not see them

    told = ", ".join(f"{name} {value}" for name, value in configs.items())
    await until_everywhere(admin, [topic], are_set, f"{topic}: {told} set", [topic])
