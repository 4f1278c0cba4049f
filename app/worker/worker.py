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

from agents.evaluate.commits import Committer
from agents.evaluate.evaluator import Clock, Evaluator
from agents.evaluate.outputs import Told
from agents.faust.app import WorkerApp, owner_url, worker_app
from agents.faust.hooks import Hooks
from agents.faust.transport import Consumer
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.clients import new_consumer
from agents.kafka.placement import partition_of
from agents.kafka.producer import Producer
from agents.kafka.watch import KafkaWatch
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences_feed import AudiencesFeed
from agents.restore.ahead import Job
from agents.restore.restorer import Restorer
from agents.topics.written import WrittenTopics
from agents.wall_clock import WallClock
from agents.warnings import Warnings
from app.address import base_url
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.supervisor import Supervisor
from app.worker.assigned import Assigned
from app.worker.http import Server
from app.worker.metrics import WorkerMetrics
from app.worker.topic_watch import TopicWatch
from app.worker.watchdog import SourceClock, WorkerStalled, forget_refused, measure, watch
from rules.compile.rule_set import RuleSet
from tables.store import RocksMemory
from tables.store_faults import make_directory

log = structlog.get_logger("turnstile.worker")

STOP_SECONDS = 60
"""For finishing what is in hand; a pod's grace period must be longer."""


class Worker:
    """One segmentation worker. ``run`` returns after an orderly stop, or raises what made it crash."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.broker = broker_of(settings)
        self.plan = plan_of(settings)
        self.warnings = Warnings()
        self.kafka = KafkaWatch(self.broker, self.warnings, folded_lines)
        self.metrics = WorkerMetrics(self.warnings)
        keys = api_keys_feed(self.new_consumer, self.plan.keys, self.warnings)
        self.keys = KeyRing(settings.http, keys, self.warnings)
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
        self.topics: TopicWatch
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
        idempotence = self.settings.kafka.idempotence
        producer = Producer(self.broker, idempotence, max_batch_size=PRODUCE_BATCH_BYTES)
        await producer.start()
        server = Server(self)
        try:
            self._wire(producer, topics)
            life.start("kafka", self.kafka.run())
            life.start("keys", self.keys.follow())
            await life.unless_stopped(self.keys.wait_loaded())
            await server.start()
            life.start("definitions", self.feed.run())
            await life.unless_stopped(self.feed.loaded.wait())
            self.evaluator.start()
            life.start("watchdog", watch(self))
            await life.unless_stopped(self._start_app())
            if not life.stopping.is_set():
                life.start("measure", measure(self))
                life.start("refused", forget_refused(self))
                life.start("topics", self.topics.run())
                started = {"topics": self.plan.sources, "partitions": self.partitions}
                log.info("worker_started", http=server.url, **started)
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
        self.evaluator.paused = True
        reason = message_for_users(error)
        if reason is None:
            log.error("worker_crashed", error=repr(error), exc_info=error)
        else:
            log.error("worker_stopped_itself", reason=reason)

    def _wire(self, producer: Producer, topics: WrittenTopics) -> None:
        settings = self.settings
        make_directory(settings.worker.data_dir)
        committer = Committer(
            producer, topics, self.metrics, self.told, may_write=lambda: self.consumer.is_member()
        )
        # Another clock than today's, as of a replay, has no records from its future.
        latest_ms = self.clock.latest_ms if isinstance(self.clock, SourceClock) else lambda: None
        self.evaluator = Evaluator(committer, self.clock, settings.clock.grace_ms, self.crash, latest_ms)
        self.restorer = self._new_restorer(topics)
        self.feed = AudiencesFeed(
            self.new_consumer,
            self.plan.audiences,
            partial(parse_published, max_samples=settings.state.max_samples),
            self._defined,
            settings.state.max_samples,
            self.warnings,
        )
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
        )
        self.app = self._new_app()

    def _new_restorer(self, topics: WrittenTopics) -> Restorer:
        settings, cache = self.settings, self.settings.cache
        folder = settings.worker.data_dir
        memory = RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes)
        rows = max(1000, cache.rows // max(1, self.partitions))
        job = Job(self.broker, topics, str(folder), cache.block_bytes, cache.write_buffer_bytes)
        return Restorer(
            self.new_consumer, Path(folder), memory, topics, limits_of(settings), rows, job, self.warnings
        )

    def _new_app(self) -> WorkerApp:
        settings = self.settings
        return worker_app(
            app_id=settings.worker.app_id,
            broker=self.broker,
            instance_id=settings.worker.id,
            data_dir=str(settings.worker.data_dir),
            advertised_url=self.advertised_url,
            sources=self.plan.sources,
            table="profiles",
            partitions=self.partitions,
            poll_records=settings.worker.poll_records,
            hooks=Hooks(
                take=self.assigned.take,
                restore=self.assigned.restore,
                hand_over=self.evaluator.hand_over,
                rebalancing_began=self.assigned.pause,
                lost=self.assigned.lost,
                taken=self.assigned.taken,
                refused=self._refused,
            ),
            warnings=self.warnings,
        )

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
                elif started:
                    await self.evaluator.abort()
                if self.crashed is None:
                    await producer.stop()
        except TimeoutError:
            text = f"did not end in order within {STOP_SECONDS} s"
            self.crash(WorkerStalled(f"{text}; the next start reads again the records that were in hand"))
        self.told.letters.close()
        log.info("worker_stopped")

    # -- what others call ----------------------------------------------------------------------------

    def _refused(self, error: BaseException) -> bool:
        if message_for_users(error) is None:
            return False
        self.crash(error)
        return True

    def _defined(self, rules: RuleSet) -> None:
        self.evaluator.define(rules)
        for task in self.evaluator.tasks.values():
            self.topics.note(task.pipeline, self.feed)

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
        url = owner_url(self.app, self.plan.changelog, partition) if hasattr(self, "app") else None
        return partition, url

    async def _watch_app(self) -> None:
        await self.app.wait_until_stopped()
        reason = self.app.crash_reason
        self.crash(reason if reason is not None else WorkerStalled("Faust stopped by itself"))

    def not_ready(self) -> list[str]:
        """Why the worker is not ready; empty when it is."""
        reasons = []
        if not self.feed.loaded.is_set():
            reasons.append("definitions are not loaded")
        if not self.keys.loaded:
            reasons.append("API keys are not read")
        if self.crashed is not None:
            reasons.append(f"crashed: {self.crashed!r}")
        if self.evaluator.paused:
            reasons.append("rebalancing or restoring rows")
        elif not self.evaluator.tasks:
            reasons.append("owns no partition")
        return reasons

    @property
    def advertised_url(self) -> str:
        http = self.settings.http
        return http.advertised_url or base_url(http.host, http.port, http.scheme)

    def new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(self.broker)
