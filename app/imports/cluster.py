"""What an import must know of the cluster before it reads a file, and the topics that it needs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.backfill.history.imports import Import, Imports
from agents.kafka.clients import new_consumer
from agents.kafka.placement import table_partition
from agents.kafka.topic_limits import largest_batch_bytes
from agents.registry.topic import everything_on
from agents.topics.fault import raise_if_unusable
from agents.topics.judge import judge
from agents.topics.look import look
from agents.topics.make import make_missing, table_partitions
from agents.topics.plan import TopicPlan
from app.failures import CommandFailed, tell_unusable
from app.imports.planning import HistoryTopic
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings
from rules.parse.problems import name_hint

BESIDE_VALUE_BYTES: Final = 4096
"""What key, header and the head of a batch take at most."""
POLL_MS: Final = 500
SILENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The history topic, what was imported into it, and where the sources begin."""

    topic: HistoryTopic
    imports: Sequence[Import]
    before_ms: Sequence[int]
    """By partition of the table: the timestamp of the first record that its sources hold; where they hold
    none, the wall clock."""
    largest_bytes: int
    """What the topic takes as a value."""


async def look_around(settings: Settings, name: str | None) -> Ground:
    """Make the topics that are missing, and look. ``name``: the history topic, by default the first one.

    Raises CommandFailed, TopicsUnusable.
    """
    async with _connected(settings) as (admin, consumer):
        topic = await _topic(settings, admin, name)
        plan = plan_of(settings)
        sources = await look(admin, plan.sources)
        counts = {each: found.partitions for each, found in sources.topics.items()}
        return Ground(
            topic,
            list(await read_imports(consumer, plan, topic)),
            await first_timestamps(consumer, counts, topic.partitions, time.time_ns() // 1_000_000),
            await largest_batch_bytes(admin, topic.name) - BESIDE_VALUE_BYTES,
        )


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    async with connected_admin(settings) as admin, new_consumer(broker_of(settings)) as consumer:
        yield admin, consumer


async def read_imports(consumer: AIOKafkaConsumer, plan: TopicPlan, topic: HistoryTopic) -> dict[Import, int]:
    """The imports of the topic, the oldest first, with the offsets of their records; what can't be used of
    those is told."""
    imports = Imports(plan.imports)
    offsets: dict[bytes | None, int] = {}
    async for record in everything_on(consumer, plan.imports):
        imports.take(record)
        offsets[record.key] = record.offset
    tell_unusable(imports.unusable.values())
    return {each: offsets[each.key] for each in imports.of(topic.name, topic.topic_id)}


async def _topic(settings: Settings, admin: AIOKafkaAdminClient, name: str | None) -> HistoryTopic:
    plan = plan_of(settings)
    if not plan.history:
        raise CommandFailed("topics.history names no topic to import into")
    name = plan.history[0] if name is None else name
    if name not in plan.history:
        raise CommandFailed(f"--topic {name}: none of topics.history; {name_hint(name, plan.history)}")
    cluster = await look(admin)
    partitions = table_partitions(plan, cluster, settings.topics.partitions)
    wanted = [each for each in plan.history_topics(partitions) if each.name in (name, plan.imports)]
    await make_missing(admin, wanted, settings.topics.replication)
    names = [each.name for each in wanted]
    cluster = await look(admin, names, configs_of=names)
    raise_if_unusable(judge(wanted, cluster, settings.records.max_bytes))
    found = cluster.topics[name]
    return HistoryTopic(name, found.topic_id.hex(), found.partitions)


async def first_timestamps(
    consumer: AIOKafkaConsumer, sources: Mapping[str, int], partitions: int, now_ms: int
) -> list[int]:
    """Where the sources of each partition of the table begin. ``sources``: topics and their partitions."""
    tps = [TopicPartition(topic, each) for topic, count in sources.items() for each in range(count)]
    found = [now_ms] * partitions
    for tp, timestamp in (await _first_records(consumer, tps)).items():
        at = table_partition(tp.partition, partitions)
        found[at] = min(found[at], timestamp)
    return found


async def _first_records(
    consumer: AIOKafkaConsumer, tps: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """The timestamp of the first record of each partition that has one with a timestamp."""
    if not tps:
        return {}
    begins, ends = await consumer.beginning_offsets(list(tps)), await consumer.end_offsets(list(tps))
    waited = [tp for tp in tps if begins[tp] < ends[tp]]
    found: dict[TopicPartition, int] = {}
    consumer.assign(waited)
    for tp in waited:
        consumer.seek(tp, begins[tp])
    heard = time.monotonic()
    while waited := [tp for tp in waited if tp not in found and await consumer.position(tp) < ends[tp]]:
        polled = await consumer.getmany(*waited, timeout_ms=POLL_MS)
        for tp, records in polled.items():
            timed = [each.timestamp for each in records if each.timestamp >= 0]
            if timed:
                found[tp] = timed[0]
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise CommandFailed(f"no broker sent the first record of {waited[0].topic}/{waited[0].partition}")
    return found
