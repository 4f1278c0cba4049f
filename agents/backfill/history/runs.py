"""The runs of all history topics, as they lie in Kafka now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.backfill.history.imports import Imports, Run, runs_of
from agents.registry.topic import read_all
from agents.topics.look import Cluster
from agents.topics.plan import TopicPlan


async def history_runs(
    consumer: AIOKafkaConsumer,
    another: Callable[[], AIOKafkaConsumer],
    cluster: Cluster,
    plan: TopicPlan,
    partitions: int,
) -> Mapping[int, Sequence[Run]]:
    """By partition of the table, which has ``partitions``. ``consumer`` is started, ``another`` makes one.

    Raises KafkaError.
    """
    names = [name for name in plan.history if name in cluster.topics]
    if not names:
        return {}
    imports = Imports(plan.imports)
    if plan.imports in cluster.topics:
        async with another() as reading:
            await read_all(reading, imports)
    places = [TopicPartition(name, each) for name in names for each in range(cluster.topics[name].partitions)]
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    found: dict[int, list[Run]] = {}
    for tp in places:
        known = imports.of(tp.topic, cluster.topics[tp.topic].topic_id.hex())
        if runs := runs_of(tp.topic, tp.partition, begins[tp], ends[tp], known):
            found.setdefault(tp.partition % partitions, []).extend(runs)
    return found
