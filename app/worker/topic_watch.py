"""The topics under a running worker: checked at the start, at every rebalance and every minute.

What would lose data stops the worker, with the reason and the command that mends it; what is unwise is a
warning. What is checked against what the state noted is in ``agents.topics.noted``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faust.types import TP

from agents.evaluate.pipeline import Pipeline
from agents.kafka.clients import new_admin, new_consumer
from agents.kafka.patience import patiently
from agents.kafka.topic_limits import largest_batch_bytes
from agents.registry.audiences_feed import AudiencesFeed
from agents.restore.lost import ChangelogLost
from agents.restore.stores import stores_of
from agents.topics import ensure_topics, make_missing
from agents.topics.fault import Fault, raise_if_unusable
from agents.topics.judge import judge
from agents.topics.look import Cluster, look
from agents.topics.noted import (
    CHANGELOG_MEND,
    changed,
    changed_records,
    cut,
    emptied,
    known_definitions,
    last_checkpoints,
    made_again,
)
from agents.topics.plan import wanted_topics
from agents.topics.written import WrittenTopics
from agents.warnings import Warnings
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings
from tables.codec import topic_key

log = structlog.get_logger("turnstile.topics")

LOOK_SECONDS = 60.0
"""Between two looks at the topics."""
SURE_SECONDS = 2.0
"""Brokers learn of topics one after the other: what is wrong must be so twice, this long apart."""
UNWISE = "topic_settings"
"""Code of the warning."""


class TopicWatch:
    """The topics of one worker. ``start`` first, ``close`` last."""

    def __init__(self, settings: Settings, warnings: Warnings) -> None:
        self._settings = settings
        self._warnings = warnings
        self.plan = plan_of(settings)
        self._admin = new_admin(broker_of(settings))
        self.partitions: Mapping[str, int] = {}
        """Of every topic of the plan."""
        self.ids: dict[str, bytes] = {}
        """As they were at the start."""
        self.changelog_bytes = 0
        """What the changelog takes in one batch."""
        self._warned: set[str] = set()

    async def start(self) -> None:
        """Check what is there and make what is missing. Raises TopicsUnusable, ChangelogLost."""
        await self._admin.start()
        await self._check_missing()
        topics = self._settings.topics
        self.partitions = await ensure_topics(
            self._admin,
            self.plan,
            topics.partitions,
            topics.replication,
            create_sources=topics.create,
        )
        # Destinations that get events are read from the start on.
        await make_missing(self._admin, [self.plan.destinations_topic()], topics.replication)
        self.ids = (await patiently(self._look_at_made)).ids
        self.changelog_bytes = await largest_batch_bytes(self._admin, self.plan.changelog)

    def as_found(self) -> WrittenTopics:
        """What the evaluator's outputs must know of the topics, after ``start``."""
        plan, counts = self.plan, self.partitions
        letters = map(plan.dead_letters, (*plan.sources, plan.transitions, plan.identities))
        return WrittenTopics(
            changelog=plan.changelog,
            transitions=plan.transitions,
            repartition=plan.repartition,
            identities=plan.identities,
            identities_id=self.ids[plan.identities],
            erasures=plan.erasures,
            partitions=counts[plan.changelog],
            transitions_partitions=counts[plan.transitions],
            changelog_bytes=self.changelog_bytes,
            dead_letter_partitions={topic: counts[topic] for topic in letters},
            sources={name: counts[name] for name in plan.events},
            changelog_id=self.ids[plan.changelog],
        )

    async def close(self) -> None:
        await self._admin.close()

    async def run(self) -> None:
        """Look every minute. Raises what ``check`` raises; while no broker answers, the next look tells."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.check()
            except (KafkaError, TimeoutError, OSError) as error:
                log.info("topics_not_seen", error=repr(error))

    async def check(self) -> None:
        """Raises TopicsUnusable when a topic is gone, another one, or has settings that lose data."""
        faults = self._faults(await patiently(self._look_at_all))
        if any(each.loses for each in faults):
            await asyncio.sleep(SURE_SECONDS)
            faults = self._faults(await patiently(self._look_at_all))
        raise_if_unusable(faults)
        unwise = {each.topic: str(each) for each in faults}
        for topic in self._warned - unwise.keys():
            self._warnings.clear(UNWISE, topic)
        for topic, text in unwise.items():
            if topic not in self._warned:
                self._warnings.note(UNWISE, topic, text)
        self._warned = set(unwise)

    async def check_restored(
        self, pipelines: dict[int, Pipeline], sources: Mapping[int, Sequence[TP]], feed: AudiencesFeed
    ) -> None:
        """Compare restored partitions with what they noted of the topics; then they note what is so now.

        Raises TopicsUnusable, ChangelogLost.
        """
        if not pipelines:
            return
        await self._check_known({p: sources[p] for p, each in pipelines.items() if not each.is_noted})
        faults: dict[str, Fault] = {}
        for pipeline in pipelines.values():
            for fault in made_again(self.plan, pipeline.ground, pipeline.has_taken, self.ids):
                faults.setdefault(fault.topic, fault)
        taken = {
            TopicPartition(*tp): (each.position_of(*tp), each.print_of(*tp))
            for partition, each in pipelines.items()
            for tp in sources[partition]
            if tp.topic not in faults and each.position_of(*tp) >= 0
        }
        without_id = [name for name in self.plan.sources if not self.ids.get(name)]
        if taken:  # aiokafka's stop raises CancelledError when nothing was asked before
            async with new_consumer(broker_of(self._settings)) as consumer:
                for tp, offset in (await changed_records(consumer, taken, without_id)).items():
                    faults.setdefault(tp.topic, cut(self.plan, tp, offset))
        known = known_definitions(pipelines.values())
        if len(feed.registry.found) < known and self.plan.audiences not in faults:
            faults[self.plan.audiences] = emptied(self.plan, len(feed.registry.found), known)
        raise_if_unusable(faults.values())
        for pipeline in pipelines.values():
            self.note(pipeline, feed)

    def note(self, pipeline: Pipeline, feed: AudiencesFeed) -> None:
        """Have a partition's next checkpoint say what the topics and definitions are."""
        names = (*self.plan.sources, self.plan.transitions, self.plan.audiences)
        ids = {topic_key(name): self.ids[name] for name in names if self.ids.get(name)}
        pipeline.note_topics(ids, feed.standing, feed.registry.top_version)

    # -- inside --------------------------------------------------------------------------------------

    async def _check_missing(self) -> None:
        """Before anything is made: whether a topic that is missing was there before."""
        plan = self.plan
        cluster = await look(self._admin, plan.names)
        missing = [name for name in plan.names if name not in cluster.topics]
        if plan.changelog in missing:
            stores = stores_of(Path(self._settings.worker.data_dir), plan.changelog)
            counts = {name: each.partitions for name, each in cluster.topics.items()}
            taken = await self._committed(
                [TopicPartition(name, each) for name in plan.sources for each in range(counts.get(name, 0))]
            )
            if stores or taken:
                known = f"there are rows of it in {next(iter(stores.values()))}" if stores else taken[0]
                raise ChangelogLost(f"{plan.changelog} does not exist, but {known}\n{CHANGELOG_MEND}")
        elif missing:
            async with new_consumer(broker_of(self._settings)) as consumer:
                partitions = range(cluster.topics[plan.changelog].partitions)
                checkpoints = await last_checkpoints(consumer, plan.changelog, partitions)
            faults: dict[str, Fault] = {}
            for checkpoint in checkpoints.values():
                for fault in made_again(plan, checkpoint.ground, lambda _: True, cluster.ids):
                    faults.setdefault(fault.topic, fault)
            raise_if_unusable(faults.values())

    async def _check_known(self, new: Mapping[int, Sequence[TP]]) -> None:
        """Raises ChangelogLost for partitions without a checkpoint of whose sources records were taken."""
        taken = await self._committed([TopicPartition(*tp) for tps in new.values() for tp in tps])
        if taken:
            texts = [f"{self.plan.changelog} holds nothing of the partition, but {each}" for each in taken]
            raise ChangelogLost("\n".join([*texts, CHANGELOG_MEND]))

    async def _committed(self, tps: Sequence[TopicPartition]) -> list[str]:
        """What the group has taken of source partitions, in words."""
        if not tps:
            return []
        group = self.plan.app_id
        offsets = await patiently(partial(self._admin.list_consumer_group_offsets, group, partitions=tps))
        return [
            f"the consumer group '{group}' has taken {tp.topic}/{tp.partition} up to offset {each.offset}"
            for tp, each in sorted(offsets.items())
            if each.offset > 0
        ]

    async def _look_at_all(self) -> Cluster:
        return await look(self._admin, self.plan.names, self.plan.names)

    async def _look_at_made(self) -> Cluster:
        """All topics exist now. Raises a KafkaError that can be tried again while a broker lacks some."""
        cluster = await self._look_at_all()
        if unknown := [name for name in self.plan.names if name not in cluster.topics]:
            raise UnknownTopicOrPartitionError(", ".join(unknown))
        return cluster

    def _faults(self, cluster: Cluster) -> list[Fault]:
        plan = self.plan
        kept = (*plan.sources, plan.changelog, plan.transitions, plan.audiences)
        found = [changed(plan, name, self.ids[name], cluster.ids) for name in kept if name in self.ids]
        wanted = wanted_topics(plan, self.partitions[plan.changelog], self.partitions)
        judged = judge(wanted, cluster)
        return [*(each for each in found if each is not None), *judged]
