"""What ``turnstile topics`` does on a cluster: check, apply, accept, rebuild."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.clients import new_consumer, new_producer
from agents.kafka.patience import patiently
from agents.kafka.topic_limits import largest_batch_bytes
from agents.restore.rebuild import LostChangelog, RebuildRefused, rebuild
from agents.restore.stores import stores_of
from agents.topics.accept import (
    accepted,
    set_offsets,
    stale_partitions,
    write_checkpoints,
)
from agents.topics.fault import Fault
from agents.topics.judge import judge, missing_sources
from agents.topics.look import Cluster, look
from agents.topics.make import make_missing, set_configs, table_partitions
from agents.topics.noted import (
    checkpoint_records,
    last_checkpoints,
)
from agents.topics.plan import Role, Wanted, copies, wanted_topics
from agents.topics.written import WrittenTopics
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings
from app.topics.state import count_definitions, faults_of_state
from rules.parse.problems import name_hint

DELIVERY = (Role.DESTINATIONS, Role.CONNECTIONS, Role.UNDELIVERED, Role.PUSHES, Role.PUSH_RUNS)
"""Not wrong where they are missing: nothing was ever delivered or pushed, or whoever does that makes them."""
LEAVE_SECONDS = 5.0
"""Beyond the session's length, until a group has forgotten a member that ended without a word."""


@dataclass(frozen=True, slots=True)
class Found:
    """What ``check`` found: the topics as they should be, those that are there, and all faults."""

    wanted: list[Wanted]
    cluster: Cluster
    faults: list[Fault]


class TopicRepairs:
    """The topics of these settings on a broker that answers. Made by ``connected``."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._settings = settings
        self._admin = admin
        self._broker = broker_of(settings)
        self._plan = plan_of(settings)

    # -- check and apply -----------------------------------------------------------------------------

    async def check(self) -> Found:
        """Everything that is wrong, of every topic. Raises TopicsUnusable when source topics differ."""
        plan, settings = self._plan, self._settings
        wanted = await self._wanted()
        cluster = await look(self._admin, configs_of=[each.name for each in wanted])
        faults = [] if settings.topics.create else missing_sources(plan, cluster)
        unasked = (*DELIVERY, *(() if settings.topics.create else (Role.SOURCE,)))
        noted = await faults_of_state(settings, self._admin, plan, cluster)
        told = {each.topic for each in noted}
        faults += [
            _missing(each)
            for each in wanted
            if each.name not in cluster.topics and each.role not in unasked and each.name not in told
        ]
        faults += judge(wanted, cluster, settings.records.max_bytes)
        return Found(wanted, cluster, faults + noted)

    async def apply(self, found: Found) -> None:
        """Make what is missing, and change settings that are wrong."""
        await make_missing(self._admin, self.to_make(found), self._settings.topics.replication)
        for topic, configs in mendable(found.faults).items():
            await set_configs(self._admin, topic, configs)

    def to_make(self, found: Found) -> list[Wanted]:
        """What is missing and may be made; nothing while a source is missing that may not be made."""
        if self.missing_sources(found):
            return []
        return [each for each in found.wanted if each.name not in found.cluster.topics]

    def missing_sources(self, found: Found) -> list[str]:
        """Input topics that are missing and may not be made here."""
        if self._settings.topics.create:
            return []
        there = found.cluster.topics
        return [each.name for each in found.wanted if each.role is Role.SOURCE and each.name not in there]

    def copies(self, found: Found) -> int:
        """Of the topics that ``apply`` would make."""
        return copies(self._settings.topics.replication, found.cluster.brokers)

    async def _wanted(self) -> list[Wanted]:
        plan, cluster = self._plan, await look(self._admin)
        partitions = table_partitions(plan, cluster, self._settings.topics.partitions)
        known = {name: each.partitions for name, each in cluster.topics.items()}
        wanted = [*wanted_topics(plan, partitions, known), plan.destinations_topic()]
        wanted += [plan.connections_topic(), *plan.push_topics()]
        topics = DefinitionTopics(self._settings, tells=True)
        destinations = (await topics.read(topics.destinations)).live()
        return wanted + [plan.undelivered_topic(each.definition.name, partitions) for each in destinations]

    # -- accept and rebuild --------------------------------------------------------------------------

    async def accept(self, topic: str) -> list[int]:
        """Have the state go on with a topic that was made again; the partitions that were changed.

        Raises CommandFailed.
        """
        plan = self._plan
        known = [*plan.sources, plan.transitions, plan.audiences]
        if topic not in known:
            hint = (
                ": rows would be missing; `turnstile topics rebuild-changelog` writes them again"
                if topic == plan.changelog
                else f": {name_hint(topic, known)}"
            )
            raise CommandFailed(f"{topic} is no topic whose records the state knows{hint}")
        cluster = await look(self._admin, [*known, plan.changelog])
        for name in (topic, plan.changelog):
            if name not in cluster.topics:
                raise CommandFailed(f"{name} does not exist: make it first (`turnstile topics apply`)")
        await self._check_nobody_works()
        made = cluster.topics[topic]
        async with new_consumer(broker_of(self._settings)) as consumer:
            partitions = range(cluster.topics[plan.changelog].partitions)
            records = await checkpoint_records(consumer, plan.changelog, partitions)
            checkpoints = {partition: checkpoint for partition, (checkpoint, _) in records.items()}
            stale = await stale_partitions(consumer, plan, made, checkpoints)
            definitions = 0
            if topic == plan.audiences:
                definitions = await self._definitions(cluster)
                stale = sorted(
                    {*stale, *(p for p in checkpoints if checkpoints[p].ground.definitions > definitions)}
                )
            if topic in plan.sources and stale:
                again = [
                    TopicPartition(topic, each)
                    for partition in stale
                    for each in range(partition, made.partitions, checkpoints[partition].partitions)
                ]
                await self._go_back(await consumer.beginning_offsets(again) if again else {})
        now_ms = time.time_ns() // 1_000_000
        changed = {
            each: (accepted(plan, made, each, checkpoints[each], definitions, now_ms), records[each][1])
            for each in stale
        }
        async with self._producer() as producer:
            await write_checkpoints(producer, plan.changelog, changed)
        return stale

    async def rebuild(self) -> tuple[dict[int, int], list[str]]:
        """Write the changelog from the stores on disk: rows by partition, and what was not done and why.

        Raises CommandFailed.
        """
        plan, settings = self._plan, self._settings
        stores = stores_of(Path(settings.worker.data_dir), plan.changelog)
        if not stores:
            where = f"{settings.worker.data_dir} (worker.data_dir)"
            raise CommandFailed(f"there are no rows of {plan.changelog} in {where}")
        await make_missing(self._admin, await self._own_topics(), settings.topics.replication)
        cluster = await look(self._admin, [plan.changelog, *plan.sources], [plan.changelog])
        sources = {name: each.partitions for name, each in cluster.topics.items() if name != plan.changelog}
        changelog = cluster.topics[plan.changelog]
        wanted = [each for each in wanted_topics(plan, changelog.partitions) if each.role is Role.CHANGELOG]
        if faults := [str(each) for each in judge(wanted, cluster) if each.loses]:
            raise CommandFailed("\n".join(faults))
        await self._check_nobody_works()
        topics = WrittenTopics(
            plan.changelog,
            plan.transitions,
            plan.repartition,
            changelog.partitions,
            0,
            changelog_bytes=await largest_batch_bytes(self._admin, plan.changelog),
            changelog_id=changelog.topic_id,
        )
        done: dict[int, int] = {}
        failed: list[str] = []
        async with new_consumer(broker_of(settings)) as consumer:
            tps = [TopicPartition(plan.changelog, each) for each in stores if each < changelog.partitions]
            begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
            checkpoints = await last_checkpoints(consumer, plan.changelog, [tp.partition for tp in tps])
        async with self._producer() as producer:
            for tp in tps:
                lost = LostChangelog(tp.partition, begins[tp], ends[tp], checkpoints.get(tp.partition))
                try:
                    path = stores[tp.partition]
                    done[tp.partition] = await rebuild(producer, path, sources, topics, lost, self._go_back)
                except RebuildRefused as error:
                    failed.append(str(error))
        return done, failed

    # -- inside --------------------------------------------------------------------------------------

    async def _definitions(self, cluster: Cluster) -> int:
        """How many definitions are on their topic."""
        if self._plan.audiences not in cluster.topics:
            return 0
        return await count_definitions(self._settings, self._plan)

    async def _own_topics(self) -> list[Wanted]:
        cluster = await look(self._admin)
        partitions = table_partitions(self._plan, cluster, self._settings.topics.partitions)
        known = {name: each.partitions for name, each in cluster.topics.items()}
        return [each for each in wanted_topics(self._plan, partitions, known) if each.role is not Role.SOURCE]

    async def _check_nobody_works(self) -> None:
        """Wait until a worker that ended just now is forgotten by its group. Raises CommandFailed."""
        group, wait_s = self._plan.app_id, self._settings.kafka.session_timeout_ms / 1000 + LEAVE_SECONDS
        deadline = time.monotonic() + wait_s
        while members := await self._members(group):
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{members} workers are in the consumer group '{group}': stop all workers first "
                    f"(waited {wait_s:.0f} s for them to leave)"
                )
            await asyncio.sleep(0.5)

    async def _members(self, group: str) -> int:
        found = [
            len(each["members"])
            for response in await patiently(partial(self._admin.describe_consumer_groups, [group]))
            for each in response.to_object()["groups"]
        ]
        return sum(found)

    async def _go_back(self, offsets: Mapping[TopicPartition, int]) -> None:
        consumer = new_consumer(self._broker, self._plan.app_id)
        try:
            await consumer.start()
            await set_offsets(consumer, offsets)
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        async with new_producer(self._broker, idempotence=False, max_request_size=1 << 24) as producer:
            yield producer


def mendable(faults: list[Fault]) -> dict[str, dict[str, str]]:
    """Settings that mend faults, by topic; of our own topics only."""
    found: dict[str, dict[str, str]] = {}
    for fault in faults:
        if fault.setting is not None:
            name, value = fault.setting
            found.setdefault(fault.topic, {})[name] = value
    return found


def _missing(wanted: Wanted) -> Fault:
    mend = "`turnstile topics apply` makes it, and so does a worker that starts"
    if wanted.role is Role.CHANGELOG:
        mend = (
            "Where workers ran before, stop them all and run `turnstile topics rebuild-changelog`: it makes "
            f"the topic with the rows on disk. Otherwise {mend}"
        )
    return Fault(wanted.name, "does not exist", "", f"it holds {wanted.role}", mend)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[TopicRepairs]:
    """The topics on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield TopicRepairs(settings, admin)
