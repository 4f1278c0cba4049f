"""The worker: everything wired together, started, watched and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import structlog
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from agents.backfill.progress.progress import progress_feed
from agents.deliver.definitions.on_event import event_destinations
from agents.deliver.definitions.published import DestinationsFeed
from agents.evaluate.commits import Committer
from agents.evaluate.evaluator import Clock, Evaluator
from agents.evaluate.outputs import Told
from agents.faust.app import WorkerApp, owner_url
from agents.faust.hooks import Hooks
from agents.faust.transport import Consumer
from agents.identities.follower import IdentityFollower
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.clients import committed_consumer, new_consumer
from agents.kafka.placement import partition_of
from agents.kafka.producer import Producer
from agents.kafka.watch import KafkaWatch
from agents.notices.addresses import notify_feed
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.erasures import erasures_feed
from agents.restore.restorer import Restorer
from agents.topics.written import WrittenTopics
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.address import base_url
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.settings.tree import Settings
from app.supervisor import Supervisor
from app.worker.assigned import Assigned
from app.worker.engine import engine_of, raw_fetches_of
from app.worker.erasing.left_stores import LeftStores
from app.worker.erasing.owned_files import OwnedFiles
from app.worker.faust_app import SharedOut, app_of
from app.worker.http import Server
from app.worker.metrics import WorkerMetrics
from app.worker.past import Past
from app.worker.restoring import follower_of, restorer_of
from app.worker.standbys import Standbys
from app.worker.topic_watch import TopicWatch
from app.worker.watchdog import SourceClock, WorkerStalled, forget_refused, measure, watch
from rules.compile.rule_set import RuleSet
from tables.store_faults import make_directory

log = structlog.get_logger("turnstile.worker")

STOP_SECONDS = 60
"""For finishing what is in hand; a pod's grace period must be longer."""


class Worker:
    """One segmentation worker. ``run`` returns after an orderly stop, or raises what made it crash."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = engine_of(settings)
        self.broker = broker_of(settings)
        self.plan = plan_of(settings)
        self.warnings = warnings = Warnings()
        self.kafka = KafkaWatch(self.broker, warnings, folded_lines)
        self.metrics = WorkerMetrics(warnings)
        committed = partial(committed_consumer, self.broker)
        self.keys = KeyRing(settings.http, api_keys_feed(committed, self.plan.keys, warnings), warnings)
        self.progress = progress_feed(committed, self.plan.progress, warnings)
        self.erasures = erasures_feed(committed, self.plan.erasures, warnings)
        self.notify = notify_feed(committed, self.plan.notify, warnings)
        self.destinations = DestinationsFeed(committed, self.plan.destinations, self._sent_to, warnings)
        self.told = Told(warnings=self.warnings)
        self.partitions = 0
        """Of the table; source topics may have any number."""
        self.clock: Clock = SourceClock(self, WallClock(settings.clock.max_lead_ms, self.warnings))
        """Set it before ``run`` for another time than today's."""
        self.evaluator: Evaluator
        self.app: WorkerApp
        self.feed: AudiencesFeed
        self.assigned: Assigned
        self.restorer: Restorer
        self.standbys: Standbys
        self.topics: TopicWatch
        self.past: Past
        self.identities: IdentityFollower
        self._supervisor = Supervisor(self._crashed)

    @property
    def stopping(self) -> asyncio.Event:
        return self._supervisor.stopping

    @property
    def crashed(self) -> BaseException | None:
        """Why it ends, if that isn't ``stop``."""
        return self._supervisor.failure

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, work until ``stop`` or a crash, stop."""
        settings = self.settings
        self.topics = TopicWatch(settings, self.warnings)
        try:
            await self._run()
        finally:
            await self.topics.close()
        if self.crashed is not None:
            raise self.crashed

    async def _run(self) -> None:
        life = self._supervisor
        await life.unless_stopped(self.topics.start())  # a broker may be silent for long
        if life.stopping.is_set():
            return
        topics = self.topics.as_found()
        self.partitions = topics.partitions
        producer = Producer(self.broker, self.settings.kafka.idempotence, max_batch_size=PRODUCE_BATCH_BYTES)
        self._wire(producer, topics)
        await producer.start()
        server = Server(self)
        try:
            life.start("kafka", self.kafka.run())
            life.start("keys", self.keys.follow())
            await life.unless_stopped(self.keys.wait_loaded())
            await server.start()
            life.start("progress", self.progress.run())
            life.start("notify", self.notify.run())
            life.start("erasures", self.erasures.run())
            life.start("definitions", self.feed.run())
            life.start("destinations", self.destinations.run())
            await life.unless_stopped(self.feed.loaded.wait())
            await life.unless_stopped(self.destinations.loaded.wait())
            await life.unless_stopped(self.progress.loaded.wait())
            life.start("progress writer", self.past.writer.run())
            life.start("owned files", self._owned_files(producer).run())
            life.start("identities", self.identities.run())
            self.evaluator.start()
            life.start("watchdog", watch(self))
            await life.unless_stopped(self._start_app())
            if not life.stopping.is_set():
                life.start("measure", measure(self))
                life.start("refused", forget_refused(self))
                life.start("topics", self.topics.run())
                if self.settings.worker.standbys:
                    life.start("standbys", self.standbys.run())
                started = {"topics": self.plan.sources, "partitions": self.partitions}
                log.info("worker_started", http=server.url, engine=str(self.engine), **started)
            await life.stopping.wait()
            log.info("worker_stopping", crashed=type(self.crashed).__name__ if self.crashed else None)
        finally:
            await self._stop(producer, server)

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._supervisor.stop()

    def crash(self, error: BaseException) -> None:
        """End without committing anything more."""
        self._supervisor.fail(error)

    def _crashed(self, error: BaseException) -> None:
        self.evaluator.paused = self.evaluator.is_over = True
        reason = message_for_users(error)
        if reason is None:
            log.error("worker_crashed", error=repr(error), exc_info=error)
        else:
            log.error("worker_stopped_itself", reason=reason)

    def _wire(self, producer: Producer, topics: WrittenTopics) -> None:
        settings = self.settings
        make_directory(settings.worker.data_dir)
        threads, grace_ms = self.engine.threads, settings.clock.grace_ms
        committer = Committer(
            producer,
            topics,
            self.metrics,
            self.told,
            may_write=lambda: self.consumer.is_member(),
            threads=threads,
        )
        # Another clock than today's, as of a replay, has no records from its future.
        latest_ms = self.clock.latest_ms if isinstance(self.clock, SourceClock) else lambda: None
        self.past = Past(
            self, settings, self.broker, self.plan, producer, self.progress, topics.partitions, self.crash
        )
        self.evaluator = Evaluator(committer, self.clock, grace_ms, self.crash, latest_ms, self.past, threads)
        self.evaluator.most_behind_ms = settings.serve.max_behind_ms
        self.restorer = restorer_of(settings, self.broker, topics, self.warnings, self.engine)
        self.feed = AudiencesFeed(
            partial(committed_consumer, self.broker),
            self.plan.audiences,
            partial(parse_published, max_samples=settings.state.max_samples),
            self._defined,
            settings.state.max_samples,
            self.warnings,
        )
        self.standbys = Standbys(self, self.restorer, SharedOut(lambda: self.app))
        known = settings, self.broker, topics, self.warnings
        self.identities = follower_of(*known, producer, self.erasures)
        self.assigned = Assigned(
            self.plan,
            topics,
            producer,
            self.evaluator,
            self.restorer,
            self.topics,
            self.feed,
            self.metrics,
            self.told,
            self.past.upkeep,
            self.standbys,
            self.identities,
        )
        self.app = self._new_app()

    def _new_app(self) -> WorkerApp:
        hooks = Hooks(
            take=self.assigned.take,
            restore=self.assigned.restore,
            hand_over=self.evaluator.hand_over,
            rebalancing_began=self.assigned.pause,
            lost=self.assigned.lost,
            taken=self.assigned.taken,
            refused=self._refused,
            raw=raw_fetches_of(self.engine, self.settings, self.plan.sources),
        )
        known = self.settings, self.broker, self.plan, self.partitions, self.advertised_url
        return app_of(*known, hooks, self.warnings)

    async def _start_app(self) -> None:
        self.app.finalize()
        self._supervisor.start("group", self.consumer.watch_group())
        await self.app.start()
        self._supervisor.start("faust", self._watch_app())

    async def _stop(self, producer: Producer, server: Server) -> None:
        started = hasattr(self, "app")
        await self._supervisor.end()
        await server.stop()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if started and self.crashed is None:
                    self.evaluator.paused = True
                    await self.app.stop()
                    await self.evaluator.close()
                    await self.past.close()
                    self.standbys.close()
                elif started:
                    await self.evaluator.abort()
                if self.crashed is None:
                    await producer.stop()
        except TimeoutError:
            text = f"did not end in order within {STOP_SECONDS} s"
            self.crash(WorkerStalled(f"{text}; the next start reads again the records that were in hand"))
        self.told.letters.close()
        log.info("worker_stopped")

    def _owned_files(self, producer: Producer) -> OwnedFiles:
        folder, erasures = Path(self.settings.worker.data_dir), self.erasures.registry
        rows = LeftStores(
            folder,
            self.plan.changelog,
            lambda: self.evaluator.tasks.keys() | self.standbys.in_use,
            erasures.latest_ms.get,
        )
        claims = LeftStores(
            folder,
            self.plan.identities,
            lambda: self.identities.in_use,
            lambda _: max(erasures.latest_ms.values(), default=None),
        )
        return OwnedFiles(self.evaluator, erasures, producer, [rows, claims])

    # -- what others call ----------------------------------------------------------------------------

    def _refused(self, error: BaseException) -> bool:
        if message_for_users(error) is None:
            return False
        self.crash(error)
        return True

    def _defined(self, rules: RuleSet) -> None:
        self.evaluator.define(rules)
        self.past.define(self.feed)
        self.standbys.define(rules, self.past.upkeep.catalog)
        for task in self.evaluator.tasks.values():
            self.topics.note(task.pipeline, self.feed)

    def _sent_to(self) -> None:
        published = self.destinations.published.values()
        self.evaluator.send(event_destinations(each.definition for each in published if not each.deleted))

    # -- watching ------------------------------------------------------------------------------------

    @property
    def consumer(self) -> Consumer:
        return cast(Consumer, self.app.consumer)

    def sources_of(self, partition: int) -> Sequence[TP]:
        """The source partitions whose records a partition of the table takes."""
        return self.assigned.sources_of(partition)

    def owner_of(self, user_id: str) -> tuple[int, str | None]:
        """The user's partition, and the URL of the worker that has it; None: not known now."""
        partition = partition_of(user_id, self.partitions) if self.partitions else 0
        return partition, self.url_of(partition)

    def url_of(self, partition: int) -> str | None:
        """The URL of the worker that has a partition of the table; None: not known now."""
        return owner_url(self.app, self.plan.changelog, partition) if hasattr(self, "app") else None

    async def _watch_app(self) -> None:
        await self.app.wait_until_stopped()
        self.crash(self.app.crash_reason or WorkerStalled("Faust stopped by itself"))

    def not_ready(self) -> list[str]:
        """Why the worker is not ready; empty when it is."""
        known = (
            (not self.feed.loaded.is_set(), "definitions are not loaded"),
            (not self.keys.loaded, "API keys are not read"),
            (self.crashed is not None, f"crashed: {self.crashed!r}"),
            (self.evaluator.paused, "rebalancing or restoring rows"),
            (not self.evaluator.paused and not self.evaluator.tasks, "owns no partition"),
        )
        return [reason for is_so, reason in known if is_so]

    @property
    def advertised_url(self) -> str:
        http = self.settings.http
        return http.advertised_url or base_url(http.host, http.port, http.scheme)

    def new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self.broker)
