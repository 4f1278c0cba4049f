"""The worker: everything wired together, started, watched and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.evaluate.commits import Committer, Topics
from agents.evaluate.evaluator import Clock, Evaluator
from agents.evaluate.outputs import Told
from agents.evaluate.pipeline import Pipeline
from agents.faust.app import WorkerApp, worker_app
from agents.faust.transport import Batch, Consumer
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.lost_records import lost_text
from agents.kafka.placement import table_partition
from agents.kafka.producer import Producer
from agents.kafka.sources import learn_partitions
from agents.kafka.watch import KafkaWatch
from agents.registry.api_keys_feed import KeysFeed
from agents.registry.audiences import AudiencesFeed
from agents.restore.ahead import Job
from agents.restore.restorer import Restorer, changelog_consumer, send_again
from agents.warnings import Warnings
from app.address import base_url
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.settings.limits import limits_of
from app.settings.tree import Settings
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
        keys = KeysFeed(self.new_consumer, self.plan.keys, self.warnings)
        self.keys = KeyRing(settings.http, keys, self.warnings)
        self.told = Told(warnings=self.warnings)
        self.stopping = asyncio.Event()
        self.crashed: BaseException | None = None
        self.partitions = 0
        """Of the table; source topics may have any number."""
        self.sources: Mapping[int, Sequence[TP]] = {}
        """The source partitions whose records each of the table's held partitions takes."""
        self.clock: Clock = SourceClock(self)
        """Set it before ``run`` for another time than today's."""
        self.evaluator: Evaluator
        self.app: WorkerApp
        self.feed: AudiencesFeed
        self.topics: TopicWatch
        self._tasks: list[asyncio.Task[None]] = []

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
        settings = self.settings
        await self._until(self.topics.start())  # a broker may be silent for long
        if self.stopping.is_set():
            return
        counts = self.topics.partitions
        self.partitions = counts[self.plan.changelog]
        topics = Topics(
            changelog=self.plan.changelog,
            transitions=self.plan.transitions,
            repartition=self.plan.repartition,
            partitions=self.partitions,
            transitions_partitions=counts[self.plan.transitions],
            changelog_bytes=self.topics.changelog_bytes,
            dead_letter_partitions={
                topic: counts[topic]
                for topic in map(self.plan.dead_letters, (*self.plan.sources, self.plan.transitions))
            },
            sources={name: counts[name] for name in self.plan.events},
            changelog_id=self.topics.ids[self.plan.changelog],
        )
        producer = Producer(self.broker, settings.kafka.idempotence, max_batch_size=PRODUCE_BATCH_BYTES)
        await producer.start()
        server = Server(self)
        try:
            self._spawn(self.kafka.run(), "kafka")
            self._wire(producer, topics)
            self._spawn(self.keys.follow(), "keys")
            await self._until(self.keys.wait_loaded())
            await server.start()
            self._spawn(self.feed.run(), "definitions")
            await self._until(self.feed.loaded.wait())
            self.evaluator.start()
            self._spawn(watch(self), "watchdog")
            await self._until(self._start_app())
            if not self.stopping.is_set():
                self._spawn(measure(self), "measure")
                self._spawn(forget_refused(self), "refused")
                self._spawn(self.topics.run(), "topics")
                started = {"topics": self.plan.sources, "partitions": self.partitions}
                log.info("worker_started", http=server.url, **started)
            await self.stopping.wait()
            log.info("worker_stopping", crashed=type(self.crashed).__name__ if self.crashed else None)
        finally:
            await self._stop(producer, server)

    def stop(self) -> None:
        """Ask for an orderly end."""
        self.stopping.set()

    def crash(self, error: BaseException) -> None:
        """End without committing anything more."""
        if self.crashed is None:
            self.crashed = error
            self.evaluator.paused = True
            reason = message_for_users(error)
            if reason is None:
                log.error("worker_crashed", error=repr(error), exc_info=error)
            else:
                log.error("worker_stopped_itself", reason=reason)
        self.stopping.set()

    def _wire(self, producer: Producer, topics: Topics) -> None:
        settings = self.settings
        make_directory(settings.worker.data_dir)
        memory = RocksMemory.of(settings.cache.block_bytes, settings.cache.write_buffer_bytes)
        committer = Committer(producer, topics, self.metrics, self.told)
        committer.may_write = lambda: self.consumer.is_member()
        # Another clock than today's, as of a replay, has no records from its future.
        latest_ms = self.clock.latest_ms if isinstance(self.clock, SourceClock) else lambda: None
        self.evaluator = Evaluator(committer, self.clock, settings.clock.grace_ms, self.crash, latest_ms)
        self.restorer = Restorer(
            self.new_consumer,
            Path(settings.worker.data_dir),
            memory,
            topics,
            limits_of(settings),
            max(1000, settings.cache.rows // max(1, self.partitions)),
            Job(
                self.broker,
                topics,
                str(settings.worker.data_dir),
                settings.cache.block_bytes,
                settings.cache.write_buffer_bytes,
            ),
        )
        self.restorer.warnings = self.warnings
        self.feed = AudiencesFeed(
            self.new_consumer,
            self.plan.audiences,
            partial(parse_published, max_samples=settings.state.max_samples),
            self._defined,
            settings.state.max_samples,
            self.warnings,
        )
        self._producer, self._topics = producer, topics
        self.app = worker_app(
            app_id=settings.worker.app_id,
            broker=self.broker,
            instance_id=settings.worker.id,
            data_dir=str(settings.worker.data_dir),
            advertised_url=self.advertised_url,
            sources=self.plan.sources,
            table="profiles",
            partitions=self.partitions,
            poll_records=settings.worker.poll_records,
            take=self._take,
            restore=self._restore,
            hand_over=self._hand_over,
            rebalancing_began=self._pause,
            warnings=self.warnings,
            lost=self._lost,
            taken=self._taken,
            refused=self._refused,
        )

    async def _start_app(self) -> None:
        self.app.finalize()
        self._spawn(self.consumer.watch_group(), "group")
        await self.app.start()
        self._spawn(self._watch_app(), "faust")

    async def _stop(self, producer: Producer, server: Server) -> None:
        started = hasattr(self, "app")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
            self.crashed = WorkerStalled(
                f"did not end in order within {STOP_SECONDS} s; the next start takes again what was in hand"
            )
        self.told.letters.close()
        log.info("worker_stopped")

    # -- what Faust calls ----------------------------------------------------------------------------

    async def _take(self, batch: Batch, ack: Callable[[], object]) -> None:
        if batch.tp.topic == self.plan.repartition:
            await learn_partitions(self._topics.sources, batch.records, self._producer)
        partition = table_partition(batch.tp.partition, self.partitions)
        await self.evaluator.take(partition, batch.records, ack)

    def _pause(self) -> None:
        self.evaluator.paused = True

    def _lost(self, tp: TopicPartition, first: int, there: int) -> None:
        """Retention took records of a source before they were read."""
        place = f"{tp.topic}/{tp.partition}"
        self.metrics.records_lost.labels(tp.topic, str(tp.partition)).inc(there - first)
        text = lost_text(place, first, there, "read", "the workers'")
        self.warnings.note("records_lost", place, text, there - first)

    def _taken(self, tp: TopicPartition) -> int:
        task = self.evaluator.tasks.get(table_partition(tp.partition, self.partitions))
        return 0 if task is None else task.pipeline.position_of(tp.topic, tp.partition) + 1

    def _refused(self, error: BaseException) -> bool:
        if message_for_users(error) is None:
            return False
        self.crash(error)
        return True

    async def _hand_over(self) -> None:
        await self.evaluator.hand_over()

    async def _restore(self, sources: Mapping[int, Sequence[TP]], is_current: Callable[[], bool]) -> None:
        evaluator, partitions = self.evaluator, set(sources)
        await self.topics.check()
        await evaluator.drain()
        kept = partitions & evaluator.tasks.keys()
        if kept:
            ends = await self.restorer.ends(kept)
            kept = {each for each in kept if ends[each] == evaluator.tasks[each].pipeline.changelog_next}
        evaluator.drop(set(evaluator.tasks) - kept)
        pipelines, pending = await self.restorer.open(partitions - kept)
        try:
            await self.topics.check_restored(pipelines, sources, self.feed)
            if is_current():
                await send_again(self._producer, self._topics, pending, self.told)
        except BaseException:
            _close(pipelines)
            raise
        if not is_current():
            _close(pipelines)  # they may be another's already; the next assignment says what is still ours
            return
        evaluator.adopt(pipelines)
        self.sources = sources
        evaluator.paused = False
        self.metrics.partitions.set(len(evaluator.tasks))
        self.metrics.restored_rows.set(self.restorer.rows_restored)

    def _defined(self, rules: RuleSet) -> None:
        self.evaluator.define(rules)
        for task in self.evaluator.tasks.values():
            self.topics.note(task.pipeline, self.feed)

    # -- watching ------------------------------------------------------------------------------------

    @property
    def consumer(self) -> Consumer:
        return cast(Consumer, self.app.consumer)

    def sources_of(self, partition: int) -> Sequence[TP]:
        """The source partitions whose records a partition of the table takes; before the first rebalance,
        those of its own number."""
        known = self.sources.get(partition)
        return [TP(topic, partition) for topic in self.plan.sources] if known is None else known

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

    # -- small things --------------------------------------------------------------------------------

    @property
    def advertised_url(self) -> str:
        http = self.settings.http
        return http.advertised_url or base_url(http.host, http.port, http.scheme)

    def new_consumer(self) -> AIOKafkaConsumer:
        return changelog_consumer(self.broker)

    def _spawn(self, coroutine, name: str) -> None:  # type: ignore[no-untyped-def]
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._task_done)
        self._tasks.append(task)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crash(error)

    async def _until(self, awaitable) -> None:  # type: ignore[no-untyped-def]
        """Wait for something, or for the end of the worker, whichever comes first. Raises what it raises."""
        waiting = asyncio.ensure_future(awaitable)
        stopping = asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for each in (waiting, stopping):
            each.cancel()
        if self.crashed is not None:
            raise self.crashed
        if waiting.done() and not waiting.cancelled():
            waiting.result()


def _close(pipelines: Mapping[int, Pipeline]) -> None:
    for pipeline in pipelines.values():
        pipeline.profiles.store.close()
