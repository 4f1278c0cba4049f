"""A process of pushes: it follows the changelogs into stores of its own, and one of all carries runs out.

The others keep their stores up to date, so that whoever leads next needs no recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer

from agents.backfill.versions.catalog import Catalog
from agents.connections.published import PublishedConnections, connections_feed
from agents.evaluate.native.engine import Engine
from agents.follow.follower import Follower
from agents.follow.replicas import Replicas
from agents.follow.source_ends import SourceEnds
from agents.follow.topics import FollowedTopics
from agents.kafka.clients import committed_consumer, new_admin, new_consumer
from agents.kafka.producer import Producer
from agents.kafka.watch import KafkaWatch
from agents.pushes.contract.target import Targets
from agents.pushes.engine.book import Book
from agents.pushes.published import PublishedPush, push_record, pushes_feed
from agents.pushes.runs import Ledger, Request, record_of
from agents.pushes.snapshot.hold import Hold
from agents.pushes.snapshot.snapshot import Snapshots
from agents.pushes.spool import Spools
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.audit import Action, audit_record
from agents.registry.erasures import erasures_feed
from agents.registry.feed import Feed
from agents.registry.leading import Leading, Write
from agents.registry.topic import publish
from agents.restore.opening import ChangelogStores
from agents.topics import make_missing
from agents.topics.fault import raise_if_unusable
from agents.topics.judge import judge
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.deliver.clients import new_producer
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.publish.author import Author
from app.pushes.http import PushServer
from app.pushes.leading import leader_of
from app.pushes.targets import connected_targets
from app.pushes.topic import told_of
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.supervisor import Supervisor
from rules.compile.rule_set import RuleSet
from rules.time.instants import parse_instant
from tables.store import RocksMemory
from tables.store_faults import make_directory

log = structlog.get_logger("turnstile.pushes")

STOP_SECONDS: Final = 20
READ_SECONDS: Final = 0.02
STOPPED: Final = "pushes_stopped"
"""The code of the warning that this process can't lead."""
LEDGER_UNREADABLE: Final = "push_run_unreadable"
ROWS: Final = "rows"
LISTS: Final = "lists"

TargetsOf = Callable[[Settings, Callable[[], PublishedConnections]], Targets]


class PushService:
    """One process of ``turnstile push worker``.

    ``run`` returns after an orderly stop, or raises what it can't go on with.
    """

    def __init__(self, settings: Settings, targets_of: TargetsOf = connected_targets) -> None:
        self.settings = settings
        self.broker = broker_of(settings)
        self.plan = plan_of(settings)
        self.warnings = Warnings()
        self.kafka = KafkaWatch(self.broker, self.warnings, folded_lines)
        new = partial(committed_consumer, self.broker)
        plan, warnings = self.plan, self.warnings
        self.keys = KeyRing(settings.http, api_keys_feed(new, plan.keys, warnings), warnings)
        self.pushes = pushes_feed(new, plan.pushes, warnings)
        self.ledger = Feed(new, Ledger(plan.push_runs), LEDGER_UNREADABLE, warnings)
        self.erasures = erasures_feed(new, plan.erasures, warnings)
        parse = partial(parse_published, max_samples=settings.state.max_samples)
        self.audiences = AudiencesFeed(
            new, plan.audiences, parse, self._defined, settings.state.max_samples, warnings
        )
        self.catalog = Catalog({}, {})
        self.wall = WallClock(settings.clock.max_lead_ms, warnings)
        self.ends = SourceEnds(self.consumer, self.wall.now_ms, self._ends_told)
        self.replicas: Replicas | None = None
        """None: the changelog isn't followed yet."""
        self.hold = Hold()
        self.spools = Spools(settings.pushes.data_dir / LISTS)
        self._admin = new_admin(self.broker)
        self._topics = FollowedTopics(self._admin, self.plan)
        self._follower: Follower | None = None
        self._producer: Producer | None = None
        self.connections = connections_feed(new, plan.connections, warnings)
        self._targets = targets_of(settings, lambda: self.connections.registry.published)
        kafka = settings.kafka
        self._leading = Leading(
            self.broker,
            partial(Ledger, plan.push_runs),
            plan.push_runs,
            self._lead,
            warnings,
            (STOPPED, "this process can't carry out pushes now, and tries again"),
            fences=kafka.idempotence,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
        )
        self._supervisor = Supervisor(_tell)
        self._server = PushServer(self)

    # -- life ----------------------------------------------------------------------------------------

    @property
    def stopping(self) -> asyncio.Event:
        return self._supervisor.stopping

    @property
    def crashed(self) -> BaseException | None:
        """Why it ends, if that isn't ``stop``."""
        return self._supervisor.failure

    @property
    def url(self) -> str:
        """Of its HTTP interface, once that listens."""
        return self._server.url

    @property
    def leads(self) -> bool:
        """Whether this process carries runs out."""
        return self._leading.is_held

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._supervisor.stop()

    async def run(self) -> None:
        """Start, follow and carry out until ``stop``, stop."""
        life, server = self._supervisor, self._server
        await self._admin.start()
        try:
            life.start("kafka", self.kafka.run())
            await life.unless_stopped(self._topics.wait())
            await life.unless_stopped(self._make_topics())
            if life.stopping.is_set():
                return
            self.spools.make_folder()
            self._producer = new_producer(self.settings)
            await self._producer.start()
            life.start("keys", self.keys.follow())
            await life.unless_stopped(self.keys.wait_loaded())
            await server.start()
            for name, feed in self._feeds.items():
                life.start(name, feed.run())
            for feed in self._feeds.values():
                await life.unless_stopped(feed.loaded.wait())
            follower = self._follow()
            life.start("follower", follower.run())
            life.start("ends", self.ends.run())
            life.start("topics", self._topics.run(follower.begin_anew, self._grown))
            life.start("leading", self._leading.run())
            log.info("push_worker_started", http=server.url, partitions=self._topics.changelog.partitions)
            await life.stopping.wait()
        finally:
            await life.end()
            async with asyncio.timeout(STOP_SECONDS):
                await server.stop()
                if self._producer is not None:
                    await self._producer.stop()
                await self._admin.close()
            if self._follower is not None:
                self._follower.close()
            log.info("push_worker_stopped")
        if self.crashed is not None:
            raise self.crashed

    @property
    def _feeds(self) -> Mapping[str, Feed[Any] | AudiencesFeed]:
        return {
            "audiences": self.audiences,
            "pushes": self.pushes,
            "connections": self.connections,
            "ledger": self.ledger,
            "erasures": self.erasures,
        }

    async def _make_topics(self) -> None:
        own = [*self.plan.push_topics(), self.plan.connections_topic()]
        cluster = await make_missing(self._admin, own, self.settings.topics.replication)
        raise_if_unusable(judge(own, cluster))

    def _follow(self) -> Follower:
        settings, changelog = self.settings, self._topics.changelog
        folder = settings.pushes.data_dir / ROWS
        make_directory(folder)
        memory = RocksMemory.of(settings.cache.block_bytes, settings.cache.write_buffer_bytes)
        stores = ChangelogStores(self.consumer, folder, memory, changelog, self.warnings)
        self.replicas = replicas = Replicas(
            changelog.partitions,
            self._topics.sources_of,
            limits_of(settings),
            self.ends,
            self.wall.now_ms,
            settings.clock.grace_ms,
            max_behind_ms=0,
            engine=Engine(settings.worker.engine),
        )
        replicas.define(self.catalog)
        exact = partial(new_consumer, self.broker, auto_offset_reset="none")
        self._follower = Follower(stores, exact, replicas.changed, replicas.lost, self.hold)
        self._follower.follow(range(changelog.partitions))
        self._grown()
        return self._follower

    # -- leading -------------------------------------------------------------------------------------

    async def _lead(self, ledger: Ledger, write: Write) -> None:
        log.info("push_worker_leads")
        snapshots = Snapshots(self.hold, lambda: self.replicas, lambda: self.catalog, self.wall.now_ms)
        book = Book(ledger, write, self.wall.now_ms)
        await leader_of(
            self.settings.pushes,
            book,
            self.published,
            lambda: self.ledger.registry.requests,
            self._targets,
            snapshots,
            self.spools,
            self._erased_since,
        ).run()

    def _erased_since(self, project: str, instant_ms: int) -> bool:
        return any(
            each.user and each.project == project and parse_instant(each.at) >= instant_ms
            for each in self.erasures.registry.published.values()
        )

    # -- what is told --------------------------------------------------------------------------------

    def _defined(self, rules: RuleSet) -> None:
        feed = self.audiences
        self.catalog = Catalog(
            {key.decode(): dict(each) for key, each in feed.versions.items()},
            {key.decode(): version for key, version in feed.wanted.items()},
            max_samples=self.settings.state.max_samples,
        )
        if self.replicas is not None:
            self.replicas.define(self.catalog)

    def _grown(self) -> None:
        """The source topics have other partitions than before."""
        partitions = range(self._topics.changelog.partitions)
        self.ends.sources = frozenset(tp for each in partitions for tp in self._topics.sources_of(each))

    def _ends_told(self) -> None:
        if self.replicas is not None:
            self.replicas.ends_told()

    # -- what others ask -----------------------------------------------------------------------------

    def consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self.broker)

    def published(self) -> Mapping[str, PublishedPush]:
        """By ``project/name``, deleted ones included."""
        return self.pushes.registry.published

    def unusable_versions(self) -> Mapping[str, int]:
        """Of definitions that can't be read."""
        return self.pushes.registry.unusable_versions

    def known_connections(self) -> PublishedConnections:
        return self.connections.registry.published

    def known_runs(self) -> Ledger:
        return self.ledger.registry

    async def publish(self, published: PublishedPush, action: Action, author: Author) -> None:
        """Write a definition, and tell the audit topic; returns once this process has read it."""
        assert self._producer is not None
        await publish(self._producer, self.plan.pushes, [push_record(published)])
        told = [audit_record(told_of(published, action, author))]
        await publish(self._producer, self.plan.audit, told)
        key = published.push.key
        async with asyncio.timeout(STOP_SECONDS):
            while self.published().get(key) != published:
                await asyncio.sleep(READ_SECONDS)

    async def ask(self, request: Request) -> None:
        """Have whoever leads do something."""
        assert self._producer is not None
        await publish(self._producer, self.plan.push_runs, [record_of(request)])

    def not_ready(self) -> list[str]:
        """Why the process couldn't carry out a run now; empty when it could."""
        if self.replicas is None:
            return ["the changelog isn't followed yet"]
        known, partitions = self.replicas.known, range(self.replicas.partitions)
        behind = [each for each in partitions if each not in known or not known[each].stands]
        return [f"partitions are not read to their ends: {', '.join(map(str, behind))}"] if behind else []


def _tell(error: BaseException) -> None:
    if message_for_users(error) is None:
        log.error("push_worker_crashed", error=repr(error), exc_info=error)
    else:
        log.error("push_worker_stopped_itself", reason=str(error))
