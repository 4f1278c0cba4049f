"""The topics that are followed, and those whose ends matter, as the cluster has them. None is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.restore.lost import PartitionsChanged
from agents.topics.look import Cluster, look
from agents.topics.plan import TopicPlan
from agents.topics.written import WrittenTopics

log = structlog.get_logger("turnstile.follow")

LOOK_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 1.0


class FollowedTopics:
    """The changelog, the claims of identities, and the source topics whose ends matter."""

    def __init__(self, admin: AIOKafkaAdminClient, plan: TopicPlan) -> None:
        self._admin = admin
        self._plan = plan
        registries = plan.audiences, plan.progress, plan.notify, plan.keys
        self._needed = (plan.changelog, plan.identities, *registries, *plan.sources)
        self.counts: dict[str, int] = {}
        """Partitions by topic."""
        self.changelog: WrittenTopics

    async def wait(self) -> None:
        """Until a worker has made the topics."""
        waited = False
        while True:
            cluster = await self._look()
            missing = [] if cluster is None else [each for each in self._needed if each not in cluster.topics]
            if cluster is not None and not missing:
                self._note(cluster)
                return
            if missing and not waited:
                waited = True
                log.info("topics_missing", topics=missing, hint="a worker makes them at its first start")
            await asyncio.sleep(WAIT_SECONDS)

    async def run(
        self,
        made_again: Callable[[WrittenTopics], None],
        grown: Callable[[], None],
        identities_again: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Look again and again; tell of another changelog, of more partitions, and of another topic of claims
        (its id). Raises PartitionsChanged.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            cluster = await self._look()
            if cluster is None or any(each not in cluster.topics for each in self._needed):
                continue
            before, counts = self.changelog, dict(self.counts)
            self._note(cluster)
            if self.changelog.partitions != before.partitions:
                raise PartitionsChanged(
                    f"{self._plan.changelog} had {before.partitions} partitions and has "
                    f"{self.changelog.partitions} now: a user's place depends on their number"
                )
            if self.changelog.changelog_id != before.changelog_id:
                made_again(self.changelog)
            if self.changelog.identities_id != before.identities_id:
                identities_again(self.changelog.identities_id)
            if counts != self.counts:
                grown()

    def sources_of(self, partition: int) -> Sequence[TopicPartition]:
        """The source partitions whose records a partition of the table takes."""
        partitions = self.changelog.partitions
        return [
            TopicPartition(topic, each)
            for topic in self._plan.sources
            for each in range(partition, self.counts[topic], partitions)
        ]

    async def _look(self) -> Cluster | None:
        try:
            return await look(self._admin, self._needed)
        except (KafkaError, OSError, TimeoutError) as error:
            log.info("topics_not_seen", error=repr(error))
            return None

    def _note(self, cluster: Cluster) -> None:
        plan = self._plan
        self.counts = {name: each.partitions for name, each in cluster.topics.items()}
        self.changelog = WrittenTopics(
            changelog=plan.changelog,
            transitions=plan.transitions,
            repartition=plan.repartition,
            partitions=self.counts[plan.changelog],
            transitions_partitions=self.counts[plan.changelog],
            sources={name: self.counts[name] for name in plan.events},
            changelog_id=cluster.topics[plan.changelog].topic_id,
            identities=plan.identities,
            identities_id=cluster.topics[plan.identities].topic_id,
        )
