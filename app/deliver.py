"""``turnstile deliver``: every destination's Faust app, started, watched, started anew, stopped in order.

One process, one Faust app per destination: each has its own consumer thread, consumer group, engine and
connections, so its own pace. A destination waits on its receiver, not on the processor, so a dead one costs
the others nothing; one that crashes is started anew by itself. Whoever wants a process for a destination,
or several that share its partitions, names it: ``turnstile deliver crm``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from agents.deliver.dead_letters import DeadLetters, dead_letter_topic
from agents.deliver.deliverer import Deliverer, Topics
from agents.deliver.engine import Engine
from agents.deliver.faust_app import DeliverApp, deliver_app
from agents.deliver.feed import (
    DestinationsFeed,
    PublishedDestination,
    destinations_topic,
    group_of,
    publish,
)
from agents.deliver.report import Report
from agents.deliver.secrets import Secrets
from agents.sinks.make import make_sink
from agents.topics import LARGE_MESSAGE_BYTES, create_topics, ensure_topics, existing
from app.deliver_clients import context_of, new_consumer, new_producer, users_of
from app.deliver_http import DeliverServer
from app.kafka import broker_of, plan_of
from app.settings import Settings

log = structlog.get_logger("turnstile.deliver")

STOP_SECONDS = 30.0
LONGEST_RESTART_PAUSE_SECONDS = 60.0
CALM_SECONDS = 60.0
"""After so long without a crash the next one counts as the first."""


class DestinationStopped(Exception):
    """A destination's Faust app ended by itself."""


@dataclass(slots=True)
class Running:
    """A destination that this process delivers to."""

    published: PublishedDestination
    secrets: Secrets
    report: Report = field(default_factory=Report)
    task: asyncio.Task[None] | None = None
    deliverer: Deliverer | None = None
    app: DeliverApp | None = None


class DeliveryService:
    """Follows the published destinations; runs those in ``names``, or all of them."""

    def __init__(self, settings: Settings, names: Sequence[str] = ()) -> None:
        self.settings = settings
        self.names = frozenset(names)
        self.broker = broker_of(settings)
        self._new_consumer = partial(new_consumer, settings)
        self.plan = plan_of(settings)
        self.stopping = asyncio.Event()
        self.crashed: BaseException | None = None
        self.running: dict[str, Running] = {}
        self.feed = DestinationsFeed(
            self._new_consumer, destinations_topic(settings.topics.prefix), self._reconcile_soon
        )
        self._reconcile = asyncio.Event()
        self._topics: Topics
        self._producer: AIOKafkaProducer
        self._admin: AIOKafkaAdminClient

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, deliver until ``stop``, stop."""
        self._admin = AIOKafkaAdminClient(**self.broker.client_options())
        await self._admin.start()
        tasks: list[asyncio.Task[None]] = []
        server = DeliverServer(self)
        try:
            await self._prepare()
            self._producer = new_producer(self.settings)
            await self._producer.start()
            await server.start()
            for name, coroutine in (("feed", self.feed.run()), ("reconcile", self._follow())):
                task = asyncio.create_task(coroutine, name=name)
                task.add_done_callback(self._task_done)
                tasks.append(task)
            log.info("deliver_started", http=server.url, names=sorted(self.names) or "all")
            await self.stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(self._end(each) for each in self.running.values()))
            await server.stop()
            if hasattr(self, "_producer"):
                await self._producer.stop()
            await self._admin.close()
            log.info("deliver_stopped")
        if self.crashed is not None:
            raise self.crashed

    def stop(self) -> None:
        """Ask for an orderly end."""
        self.stopping.set()

    async def _prepare(self) -> None:
        topics = self.settings.topics
        counts = await ensure_topics(self._admin, self.plan, topics.partitions, topics.replication)
        own = destinations_topic(topics.prefix)
        if own not in await existing(self._admin):
            await create_topics(self._admin, {own: (1, {"cleanup.policy": "compact"})}, topics.replication)
        plan = self.plan
        self._topics = Topics(
            plan.transitions,
            counts[plan.transitions],
            plan.changelog,
            counts[plan.changelog],
            plan.audiences,
        )

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crashed = error
            log.error("deliver_crashed", error=repr(error), exc_info=error)
            self.stopping.set()

    # -- destinations --------------------------------------------------------------------------------

    def wanted(self) -> Mapping[str, PublishedDestination]:
        """What is to be delivered to by this process, the paused ones included."""
        return {
            name: each
            for name, each in self.feed.published.items()
            if not each.deleted and (not self.names or name in self.names)
        }

    def _reconcile_soon(self) -> None:
        self._reconcile.set()

    async def _follow(self) -> None:
        while True:
            await self._reconcile.wait()
            self._reconcile.clear()
            wanted = self.wanted()
            if missing := sorted(self.names - wanted.keys()):
                log.warning("not_published", names=missing, known=sorted(self.feed.published))
            changed = [
                running for name, running in self.running.items() if wanted.get(name) != running.published
            ]
            await asyncio.gather(*(self._end(running) for running in changed))
            for running in changed:
                del self.running[running.published.destination.name]
            for name, published in wanted.items():
                if name not in self.running:
                    self._begin(published)

    def _begin(self, published: PublishedDestination) -> None:
        running = Running(published, Secrets())
        self.running[published.destination.name] = running
        if published.destination.paused:
            running.report.state = "paused"
        else:
            running.task = asyncio.create_task(self._keep(running))

    async def _end(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()
            await asyncio.wait([running.task])
        running.report.state = "stopped"

    async def _keep(self, running: Running) -> None:
        """Deliver to one destination for good: after a crash again, with longer and longer pauses."""
        name, crashes = running.published.destination.name, 0
        while True:
            started = time.monotonic()
            try:
                await self._deliver(running)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                crashes = 1 if time.monotonic() - started > CALM_SECONDS else crashes + 1
                text = running.secrets.masked(repr(error))
                running.report.state = "crashed"
                running.report.error(text)
                log.error("destination_crashed", destination=name, error=text, crashes=crashes)
            await asyncio.sleep(min(LONGEST_RESTART_PAUSE_SECONDS, 2.0 ** min(crashes, 10) / 2))

    async def _deliver(self, running: Running) -> None:
        destination, settings = running.published.destination, self.settings
        failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def fail(error: BaseException) -> None:
            if not failed.done():
                failed.set_result(error)

        running.report.state = "starting"
        await self._make_dead_letter_topic(destination.name)
        letters = DeadLetters(self._producer, settings.topics.prefix, destination.name, self.plan.transitions)
        users = users_of(settings)
        sink = make_sink(destination, context_of(settings, running.secrets))
        in_flight = settings.deliver.in_flight
        engine = Engine(
            destination, sink, running.secrets, users, letters.bury, fail, in_flight, running.report
        )

        async def commit(offsets: Mapping[int, int]) -> None:
            topic = self.plan.transitions
            consumer: Any = app.consumer
            await consumer._commit({TP(topic, partition): each for partition, each in offsets.items()})

        running.deliverer = Deliverer(
            destination, engine, letters, self._topics, self._new_consumer, commit, fail
        )
        with tempfile.TemporaryDirectory(prefix="turnstile-deliver-") as folder:
            app = running.app = deliver_app(
                group=group_of(settings.topics.prefix, running.published),
                broker=self.broker,
                instance_id=settings.worker.id and f"{settings.worker.id}-{destination.name}",
                data_dir=folder,
                topic=self.plan.transitions,
                worker=running.deliverer,
                members_first=destination.existing_members,
            )
            opening = asyncio.create_task(engine.open())
            opening.add_done_callback(lambda task: _tell(task, fail))
            app.finalize()
            await app.start()
            ended = asyncio.create_task(app.wait_until_stopped())
            try:
                waited: set[asyncio.Future[Any]] = {ended, failed}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if failed.done():
                    raise failed.result()
                raise app.crash_reason or DestinationStopped("Faust stopped by itself")
            finally:
                ended.cancel()
                opening.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_SECONDS):
                        await app.stop()
                await engine.close()
                await users.close()

    async def _make_dead_letter_topic(self, name: str) -> None:
        topic = dead_letter_topic(self.settings.topics.prefix, name)
        if topic in await existing(self._admin):
            return
        # Kept until somebody has looked at them: by default a broker throws records away after a week.
        kept = {"retention.ms": "-1", "max.message.bytes": str(LARGE_MESSAGE_BYTES)}
        await create_topics(
            self._admin, {topic: (self._topics.partitions, kept)}, self.settings.topics.replication
        )

    async def publish(self, published: PublishedDestination) -> None:
        """Write a definition to the topic; returns once this process has read it, too."""
        name, topic = published.destination.name, destinations_topic(self.settings.topics.prefix)
        await publish(self._producer, topic, [published])
        async with asyncio.timeout(STOP_SECONDS):
            while self.feed.published.get(name) != published:
                await asyncio.sleep(0.02)


def _tell(task: asyncio.Task[None], fail: Any) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fail(error)


async def run(settings: Settings, names: Sequence[str]) -> None:
    """Deliver until SIGTERM or Ctrl-C; a second one doesn't wait for an orderly end."""
    service = DeliveryService(settings, names)
    # Jobs live for milliseconds and hold no cycles: Python's default looks through them all the time, at a
    # cost of as much as all else that is done to a transition.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    def stop_or_end() -> None:
        if service.stopping.is_set():
            os._exit(1)
        service.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_or_end)
    await service.run()
