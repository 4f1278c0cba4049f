"""A reader: it follows changelogs, definitions and keys, and answers lookups. It writes nothing to Kafka,
except a notify address that somebody sets through it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer

from agents.backfill.progress.progress import progress_feed
from agents.backfill.versions.catalog import Catalog
from agents.evaluate.native.engine import Engine
from agents.follow.follower import Follower
from agents.follow.replicas import Replicas
from agents.follow.source_ends import SourceEnds
from agents.follow.topics import FollowedTopics
from agents.identities.follower import IdentityFollower
from agents.kafka.clients import committed_consumer, new_admin, new_consumer
from agents.kafka.placement import partition_of
from agents.kafka.watch import KafkaWatch
from agents.notices.addresses import notify_feed
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences_feed import AudiencesFeed
from agents.restore.opening import ChangelogStores
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.serve.http import ReaderServer
from app.serve.metrics import ReaderMetrics
from app.serve.owners import Owners
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.supervisor import Supervisor
from app.worker.following.answering import ReaderAnswers, ReaderVersions
from app.worker.following.reached import Reached
from rules.compile.rule_set import RuleSet
from tables.store import RocksMemory
from tables.store_faults import make_directory

log = structlog.get_logger("turnstile.serve")

STOP_SECONDS: Final = 20
MEASURE_SECONDS: Final = 1.0


class Reader:
    """One process of ``turnstile serve``; ``number`` tells it from the others that share its port.

    ``run`` returns after an orderly stop, or raises what it can't go on with.
    """

    def __init__(self, settings: Settings, number: int = 0) -> None:
        self.settings = settings
        self.number = number
        self.broker = broker_of(settings)
        self.plan = plan_of(settings)
        self.warnings = Warnings()
        self.metrics = ReaderMetrics(self.warnings)
        self.kafka = KafkaWatch(self.broker, self.warnings, folded_lines)
        committed = partial(committed_consumer, self.broker)
        self.keys = KeyRing(
            settings.http, api_keys_feed(committed, self.plan.keys, self.warnings), self.warnings
        )
        self.progress = progress_feed(committed, self.plan.progress, self.warnings)
        self.notify = notify_feed(committed, self.plan.notify, self.warnings)
        self.feed = AudiencesFeed(
            committed,
            self.plan.audiences,
            partial(parse_published, max_samples=settings.state.max_samples),
            self._defined,
            settings.state.max_samples,
            self.warnings,
        )
        self.catalog = Catalog({}, {})
        self.evaluator = ReaderAnswers(self.metrics)
        self.past = ReaderVersions(self.progress.registry)
        self.identities: IdentityFollower
        self.wall = WallClock(settings.clock.max_lead_ms, self.warnings)
        self._admin = new_admin(self.broker)
        self.topics = FollowedTopics(self._admin, self.plan)
        self.owners = Owners(self._admin, self.plan.app_id, self.plan.changelog)
        self.ends = SourceEnds(self.consumer, self.wall.now_ms, self._ends_told)
        self.reached = Reached(self.ends, self.plan.changelog)
        self.replicas: Replicas | None = None
        """None: the topics aren't there yet."""
        self.follower: Follower | None = None
        self._supervisor = Supervisor(_tell)

    # -- life ----------------------------------------------------------------------------------------

    @property
    def stopping(self) -> asyncio.Event:
        return self._supervisor.stopping

    @property
    def crashed(self) -> BaseException | None:
        """Why it ends, if that isn't ``stop``."""
        return self._supervisor.failure

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._supervisor.stop()

    async def run(self) -> None:
        """Start, follow and answer until ``stop``, stop."""
        life, server = self._supervisor, ReaderServer(self)
        await self._admin.start()
        try:
            life.start("kafka", self.kafka.run())
            await life.unless_stopped(self.topics.wait())
            if life.stopping.is_set():
                return
            self.identities = self._of_identities()
            life.start("keys", self.keys.follow())
            await life.unless_stopped(self.keys.wait_loaded())
            await server.start()
            life.start("progress", self.progress.run())
            life.start("notify", self.notify.run())
            life.start("identities", self.identities.run())
            life.start("definitions", self.feed.run())
            await life.unless_stopped(self.feed.loaded.wait())
            await life.unless_stopped(self.progress.loaded.wait())
            follower = self._follow()
            life.start("follower", follower.run())
            life.start("ends", self.ends.run())
            topics = self.topics.run(follower.begin_anew, self._grown, self.identities.begin_anew)
            life.start("topics", topics)
            life.start("owners", self.owners.run())
            life.start("measure", self._measure())
            log.info("reader_started", http=server.url, partitions=len(self.held))
            await life.stopping.wait()
        finally:
            await life.end()
            async with asyncio.timeout(STOP_SECONDS):
                await server.stop()
                await self._admin.close()
            if self.follower is not None:
                self.follower.close()
            log.info("reader_stopped")
        if self.crashed is not None:
            raise self.crashed

    def _follow(self) -> Follower:
        settings, changelog = self.settings, self.topics.changelog
        cache = settings.cache
        memory = RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes)
        stores = ChangelogStores(self.consumer, self._folder(), memory, changelog, self.warnings)
        self.replicas = Replicas(
            changelog.partitions,
            self.topics.sources_of,
            limits_of(settings),
            self.ends,
            self.wall.now_ms,
            settings.clock.grace_ms,
            settings.serve.max_behind_ms,
            Engine(settings.worker.engine),
        )
        self.replicas.define(self.catalog)
        self.evaluator.replicas = self.past.replicas = self.reached.replicas = self.replicas
        self.past.partitions = changelog.partitions
        exact = partial(new_consumer, self.broker, auto_offset_reset="none")
        self.follower = Follower(stores, exact, self.replicas.changed, self.replicas.lost)
        self.follower.follow(self.held)
        self._grown()
        return self.follower

    def _of_identities(self) -> IdentityFollower:
        """Of all partitions: where an identity is kept has nothing to do with where its user is."""
        topics, cache = self.topics.changelog, self.settings.cache
        follower = IdentityFollower(
            partial(committed_consumer, self.broker),
            topics.identities,
            topics.identities_id,
            self._folder(),
            RocksMemory.of(cache.block_bytes // 8, cache.write_buffer_bytes // 4),
            self.warnings,
            max_behind_ms=self.settings.serve.max_behind_ms,
        )
        follower.hold(range(min(topics.partitions, self.topics.counts[topics.identities])))
        return follower

    def _folder(self) -> Path:
        folder = self.settings.serve.data_dir / str(self.number)
        make_directory(folder)
        return folder

    # -- what is told --------------------------------------------------------------------------------

    def _defined(self, rules: RuleSet) -> None:
        feed = self.feed
        self.evaluator.rules = rules
        self.catalog = Catalog(
            {key.decode(): dict(each) for key, each in feed.versions.items()},
            {key.decode(): version for key, version in feed.wanted.items()},
            max_samples=self.settings.state.max_samples,
        )
        self.past.wanted = dict(self.catalog.wanted)
        if self.replicas is not None:
            self.replicas.define(self.catalog)

    def _grown(self) -> None:
        """The source topics have other partitions than before."""
        self.ends.sources = frozenset(tp for each in self.held for tp in self.topics.sources_of(each))

    def _ends_told(self) -> None:
        if self.replicas is not None:
            self.replicas.ends_told()

    async def _measure(self) -> None:
        """Set the gauges, every second."""
        metrics = self.metrics
        while True:
            assert self.replicas is not None
            metrics.behind.clear()
            metrics.lag.clear()
            for partition, replica in self.replicas.known.items():
                followed = replica.followed
                metrics.lag.labels(str(partition)).set(max(0, followed.end - followed.position))
                if replica.stands:
                    behind_ms = max(0, self.wall.now_ms() - replica.as_of_ms)
                    metrics.behind.labels(str(partition)).set(behind_ms / 1000)
            metrics.partitions.set(sum(each.stands for each in self.replicas.known.values()))
            metrics.identities.set(self.partitions - len(self.identities.unread))
            metrics.ready.set(not self.not_ready())
            await asyncio.sleep(MEASURE_SECONDS)

    # -- what others ask -----------------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        """Of the table; 0: not known yet."""
        return self.topics.changelog.partitions if self.topics.counts else 0

    @property
    def held(self) -> list[int]:
        """The partitions that are followed here."""
        return [each for each in range(self.partitions) if self.settings.serve.follows(each)]

    def consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self.broker)

    def owner_of(self, user_id: str) -> tuple[int, str | None]:
        """The user's partition, and the URL of the worker that has it; None: not known now."""
        partition = partition_of(user_id, self.partitions) if self.partitions else 0
        return partition, self.url_of(partition)

    def url_of(self, partition: int) -> str | None:
        return self.owners.url_of(partition)

    @property
    def unfollowed(self) -> dict[int, str]:
        """Partitions that can't be followed, and why."""
        return {} if self.follower is None else self.follower.unfollowed

    def not_ready(self) -> list[str]:
        """Why the reader is not ready; empty when it is."""
        standing = () if self.replicas is None else [n for n, it in self.replicas.known.items() if it.stands]
        # What can't be followed at all is asked of its owner; waiting for it would help nobody.
        behind = [each for each in self.held if each not in standing and each not in self.unfollowed]
        known = (
            (not self.partitions, "the topics aren't there yet: a worker makes them at its first start"),
            (not self.feed.loaded.is_set(), "definitions are not loaded"),
            (not self.keys.loaded, "API keys are not read"),
            (bool(behind), f"partitions are not read to their ends: {', '.join(map(str, behind))}"),
        )
        return [reason for is_so, reason in known if is_so]


def _tell(error: BaseException) -> None:
    if message_for_users(error) is None:
        log.error("reader_crashed", error=repr(error), exc_info=error)
    else:
        log.error("reader_stopped_itself", reason=str(error))
