"""Standbys: rows of other workers' partitions, followed so that they can be taken over without restoring, and
so that lookups are answered while their owner doesn't answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Set
from functools import partial
from typing import Any, Final, Protocol

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.backfill.progress.progress import ProgressOfVersions
from agents.backfill.versions.catalog import Catalog
from agents.evaluate.evaluator import Clock
from agents.evaluate.native.engine import Engine
from agents.follow.follower import Follower
from agents.follow.replicas import Replicas
from agents.follow.source_ends import SourceEnds
from agents.follow.topics import FollowedTopics
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer
from agents.kafka.placement import partition_of
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from agents.restore.opening import ChangelogStores
from agents.topics.plan import TopicPlan
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.worker.following.answering import ReaderAnswers, ReaderVersions
from app.worker.following.reached import Reached
from app.worker.metrics import WorkerMetrics
from rules.compile.rule_set import RuleSet

AGAIN_SECONDS: Final = 1.0


class Shares(Protocol):
    """How the group's leader shared out partitions last."""

    def wanted(self) -> Collection[int]:
        """The partitions that this worker keeps standbys of."""
        ...

    def by_url(self) -> Mapping[str, Collection[int]]:
        """Those that each worker keeps, by its URL."""
        ...


class Keeping(Protocol):
    """What is needed of the worker that keeps standbys."""

    settings: Settings
    broker: Broker
    plan: TopicPlan
    clock: Clock
    progress: Feed[ProgressOfVersions]
    feed: AudiencesFeed
    metrics: WorkerMetrics
    engine: Engine

    @property
    def advertised_url(self) -> str: ...


class Standbys:
    """Those of one worker. It is an ``app.worker.askable.Asked``: lookups ask it as they ask a reader."""

    def __init__(self, worker: Keeping, stores: ChangelogStores, shares: Shares) -> None:
        self._worker = worker
        self._stores = stores
        self._shares = shares
        self.partitions = stores.topics.partitions
        self.evaluator = ReaderAnswers(worker.metrics)
        self.past = ReaderVersions(worker.progress.registry)
        consumer = partial(new_consumer, worker.broker)
        self._ends = SourceEnds(consumer, lambda: worker.clock.wall_ms(), self._ends_told)
        self.reached = Reached(self._ends, worker.plan.changelog)
        self._catalog = Catalog({}, {})
        self._follower: Follower | None = None
        """None: nothing is followed yet."""
        self._topics: FollowedTopics

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. Raises StoreUnusable, PartitionsChanged."""
        while True:
            admin = new_admin(self._worker.broker)
            try:
                await admin.start()
                break
            except (KafkaError, OSError, TimeoutError):
                await admin.close()
                await asyncio.sleep(AGAIN_SECONDS)
        try:
            await self._run(admin)
        finally:
            await admin.close()

    async def _run(self, admin: AIOKafkaAdminClient) -> None:
        self._topics = FollowedTopics(admin, self._worker.plan)
        await self._topics.wait()
        settings = self._worker.settings
        replicas = Replicas(
            self.partitions,
            self._topics.sources_of,
            limits_of(settings),
            self._ends,
            self._worker.clock.wall_ms,
            settings.clock.grace_ms,
            settings.serve.max_behind_ms,
            self._worker.engine,
        )
        replicas.define(self._catalog)
        self.evaluator.replicas = self.past.replicas = self.reached.replicas = replicas
        self.past.partitions = self.partitions
        exact = partial(new_consumer, self._worker.broker, auto_offset_reset="none")
        self._follower = Follower(self._stores, exact, replicas.changed, replicas.lost)
        self.look()
        # Another changelog than at the start ends the worker; its own watch sees to that.
        watching = self._topics.run(lambda _: None, self._grown)
        await _together(self._follower.run(), self._ends.run(), watching)

    def close(self) -> None:
        """Close all stores; they are whole."""
        if self._follower is not None:
            self._follower.close()

    # -- what is told --------------------------------------------------------------------------------

    def make_way(self, partitions: Collection[int]) -> None:
        """These become the worker's own: their stores are closed, as near to the ends as they are."""
        if self._follower is not None:
            self._follower.follow(self._follower.followed.keys() - set(partitions))

    def look(self) -> None:
        """Partitions were shared out again."""
        if self._follower is not None:
            self._follower.follow(self._shares.wanted())
            self._grown()

    def define(self, rules: RuleSet, catalog: Catalog) -> None:
        """Definitions were published."""
        self.evaluator.rules, self._catalog = rules, catalog
        self.past.wanted = dict(catalog.wanted)
        if self.evaluator.replicas is not None:
            self.evaluator.replicas.define(catalog)

    def _grown(self) -> None:
        wanted = self._shares.wanted()
        self._ends.sources = frozenset(tp for each in wanted for tp in self._topics.sources_of(each))

    def _ends_told(self) -> None:
        if self.evaluator.replicas is not None:
            self.evaluator.replicas.ends_told()

    # -- what is asked -------------------------------------------------------------------------------

    @property
    def feed(self) -> AudiencesFeed:
        return self._worker.feed

    @property
    def in_use(self) -> Set[int]:
        """Partitions whose stores are open, or may be opened at any moment."""
        return set() if self._follower is None else self._follower.in_use

    @property
    def kept(self) -> dict[int, int]:
        """By partition that is kept, the records that it is behind its changelog."""
        followed = {} if self._follower is None else self._follower.followed
        return {each: max(0, it.end - it.position) for each, it in sorted(followed.items())}

    def url_of(self, partition: int) -> str | None:
        """Another worker that keeps a standby of a partition; None: there is none."""
        urls = (url for url, kept in self._shares.by_url().items() if partition in kept)
        return next((each for each in urls if each != self._worker.advertised_url), None)

    def owner_of(self, user_id: str) -> tuple[int, str | None]:
        """The user's partition, and who else keeps a standby of it."""
        partition = partition_of(user_id, self.partitions)
        return partition, self.url_of(partition)


async def _together(*lasting: Coroutine[Any, Any, None]) -> None:
    """Run them all until one fails. Raises what it raises."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in lasting:
                group.create_task(each)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
