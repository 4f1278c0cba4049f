"""What the state says of the topics where no worker is asked: checkpoints, the group's offsets, the rows
here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError

from agents.kafka.clients import committed_consumer, new_consumer
from agents.kafka.patience import patiently
from agents.registry.audience_keys import audience_of
from agents.registry.topic import keys_on
from agents.restore.stores import stores_of
from agents.topics.fault import Fault
from agents.topics.look import Cluster
from agents.topics.lost_changelog import changelog_faults
from agents.topics.noted import (
    changed_records,
    cut,
    emptied,
    has_taken,
    known_definitions,
    last_checkpoints,
    made_again,
    taken_of,
)
from agents.topics.plan import TopicPlan
from app.kafka.configured import broker_of
from app.settings.tree import Settings
from tables.codec import Checkpoint


async def faults_of_state(
    settings: Settings, admin: AIOKafkaAdminClient, plan: TopicPlan, cluster: Cluster
) -> list[Fault]:
    """Topics that are not those that the state was made with, or lack what it knows of."""
    changelog = cluster.topics.get(plan.changelog)
    begins: dict[int, int] = {}
    checkpoints: dict[int, Checkpoint] = {}
    faults: dict[str, Fault] = {}
    if changelog is not None:
        async with new_consumer(broker_of(settings)) as consumer:
            tps = [TopicPartition(plan.changelog, each) for each in range(changelog.partitions)]
            found = await consumer.beginning_offsets(tps)
            begins = {tp.partition: offset for tp, offset in found.items()}
            checkpoints = await last_checkpoints(consumer, plan.changelog, range(changelog.partitions))
            faults = await _of_others(consumer, plan, cluster, checkpoints)
        known, definitions = known_definitions(checkpoints.values()), 0
        if plan.audiences in cluster.topics:
            definitions = await count_definitions(settings, plan)
        if definitions < known and plan.audiences not in faults:
            faults[plan.audiences] = emptied(plan, definitions, known)
    try:
        taken = await _taken(admin, plan, cluster)
    except GroupAuthorizationFailedError:
        taken = {}
        faults[plan.app_id] = Fault(
            f"the consumer group '{plan.app_id}'",
            "can't be seen with this account",
            "",
            "whether the changelog was lost is not known without its offsets",
            "Give it the right to read the group, or check with the account of the workers",
            loses=False,
        )
    stores = stores_of(Path(settings.worker.data_dir), plan.changelog)
    return [*changelog_faults(plan, changelog, begins, checkpoints, taken, stores), *faults.values()]


async def count_definitions(settings: Settings, plan: TopicPlan) -> int:
    """How many definitions are on their topic, which exists."""
    async with committed_consumer(broker_of(settings)) as consumer:
        return len(set(map(audience_of, await keys_on(consumer, plan.audiences))))


async def _of_others(
    consumer: AIOKafkaConsumer, plan: TopicPlan, cluster: Cluster, checkpoints: Mapping[int, Checkpoint]
) -> dict[str, Fault]:
    """By topic, of all but the changelog."""
    faults: dict[str, Fault] = {}
    taken: dict[TopicPartition, tuple[int, int | None]] = {}
    for partition, checkpoint in checkpoints.items():
        for fault in made_again(
            plan, checkpoint.ground, partial(has_taken, checkpoint, partition), cluster.ids
        ):
            faults.setdefault(fault.topic, fault)
        for name in plan.sources:
            count = cluster.topics[name].partitions if name in cluster.topics else 0
            for each in range(partition, 0 if name in faults else count, checkpoint.partitions):
                if (last := taken_of(checkpoint, name, each))[0] >= 0:
                    taken[TopicPartition(name, each)] = last
    if taken:
        without_id = [name for name in plan.sources if not cluster.ids.get(name)]
        for tp, offset in (await changed_records(consumer, taken, without_id)).items():
            faults.setdefault(tp.topic, cut(plan, tp, offset))
    return faults


async def _taken(admin: AIOKafkaAdminClient, plan: TopicPlan, cluster: Cluster) -> dict[TopicPartition, int]:
    """What the group has committed of the sources."""
    tps = [
        TopicPartition(name, each)
        for name in plan.sources
        if name in cluster.topics
        for each in range(cluster.topics[name].partitions)
    ]
    if not tps:
        return {}
    offsets = await patiently(partial(admin.list_consumer_group_offsets, plan.app_id, partitions=tps))
    return {tp: each.offset for tp, each in offsets.items()}
