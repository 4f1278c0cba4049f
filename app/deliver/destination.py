"""One destination in this process: its Faust app started, watched, started again after a crash, ended."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from agents.deliver.consumer.deliverer import Deliverer
from agents.deliver.consumer.faust_app import DeliverApp, DeliverConsumer, deliver_app
from agents.deliver.consumer.progress import Backlog
from agents.deliver.content.users import Users
from agents.deliver.definitions.published import PublishedDestination, group_of
from agents.deliver.definitions.starts import FirstStart
from agents.deliver.engine.dead_letters import DeadLetters
from agents.deliver.engine.engine import Engine
from agents.deliver.engine.report import DestinationReport
from agents.deliver.input_topics import InputTopics
from agents.deliver.members.first import MemberReader
from agents.evaluate.outputs import Told
from agents.kafka.clients import committed_consumer
from agents.kafka.watch import KafkaWatch
from agents.registry.erasures import Erasures
from agents.sinks.make import make_sink
from agents.topics import make_missing
from app.deliver.clients import context_of, users_of
from app.kafka.configured import broker_of, parse_published, plan_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings

log = structlog.get_logger("turnstile.deliver")

STOP_SECONDS = 30.0
LONGEST_RESTART_PAUSE_SECONDS = 60.0
CALM_SECONDS = 60.0
"""After so long without a crash the next one counts as the first."""


class DestinationStopped(Exception):
    """A destination's Faust app ended by itself."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all destinations of a process share. ``first_start`` says where one begins, for good."""

    settings: Settings
    topics: InputTopics
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient
    first_start: Callable[[PublishedDestination], Awaitable[FirstStart]]
    told: Told
    kafka: KafkaWatch
    digests: Callable[[], Set[str]]
    """Of our API keys, as they are now."""
    erasures: Erasures


class Running:
    """A destination that this process delivers to, or would, were it not paused."""

    def __init__(self, published: PublishedDestination, surroundings: Surroundings) -> None:
        self.published = published
        self.secrets = secrets_of(
            surroundings.settings, surroundings.digests, project=published.definition.secrets_project
        )
        self.report = DestinationReport()
        self.deliverer: Deliverer | None = None
        self.app: DeliverApp | None = None
        self._surroundings = surroundings
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """The report's, except: ``joining`` while a destination that could be sent to isn't in its group yet,
        and ``unreachable`` while Kafka is lost."""
        if self.unreachable_since_ms is not None and self.report.state not in ("paused", "stopped"):
            return "unreachable"
        deliverer, state = self.deliverer, self.report.state
        is_out = deliverer is not None and not deliverer.joined
        return "joining" if is_out and state == "running" else state

    @property
    def unreachable_since_ms(self) -> int | None:
        """Since when Kafka is lost (wall clock ms); None: it isn't."""
        return self._surroundings.kafka.lost_since_ms

    def begin(self) -> None:
        if self.published.definition.paused:
            self.report.state = "paused"
        else:
            self._task = asyncio.create_task(self._keep())

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                text = self.secrets.masked(repr(error))
                log.error("destination_ended_badly", destination=self.published.definition.name, error=text)
        self.report.state = "stopped"

    async def _keep(self) -> None:
        """Deliver for good: after a crash again, with longer and longer pauses."""
        name, crashes, own = self.published.definition.name, 0, asyncio.current_task()
        assert own is not None
        while True:
            started = time.monotonic()
            try:
                await self._deliver()
            except (Exception, asyncio.CancelledError) as error:
                if own.cancelling():  # by ``end``; else something within was cancelled: a crash like others
                    raise
                crashes = 1 if time.monotonic() - started > CALM_SECONDS else crashes + 1
                text = self.secrets.masked(repr(error))
                self.report.state = "crashed"
                self.report.error(text)
                log.error("destination_crashed", destination=name, error=text, crashes=crashes)
            await asyncio.sleep(min(LONGEST_RESTART_PAUSE_SECONDS, 2.0 ** min(crashes, 10) / 2))

    async def _deliver(self) -> None:
        """Until it crashes or is cancelled."""
        around = self._surroundings
        failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def fail(error: BaseException) -> None:
            if not failed.done():
                failed.set_result(error)

        self.report.state = "starting"
        await self._make_dead_letter_topic()
        first_start = await around.first_start(self.published)
        users = users_of(around.settings)

        async def commit(offsets: Mapping[int, int]) -> None:
            consumer: Any = app.consumer
            topic = around.topics.transitions
            await consumer._commit({TP(topic, partition): each for partition, each in offsets.items()})

        engine = self._parts(first_start, users, fail, commit)
        with tempfile.TemporaryDirectory(prefix="turnstile-deliver-") as folder:
            app = self.app = self._faust_app(first_start, folder)
            opening = asyncio.create_task(engine.open())
            opening.add_done_callback(partial(_tell, fail))
            app.finalize()
            living = asyncio.create_task(_live(app))
            watching = asyncio.create_task(cast(DeliverConsumer, app.consumer).watch_group())
            try:
                waited: set[asyncio.Future[Any]] = {living, watching, failed}
                done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if failed in done:
                    raise failed.result()
                await done.pop()
                raise app.crash_reason or DestinationStopped("Faust stopped by itself")
            finally:
                await _to_its_end(_clean_up(app, engine, users, (living, watching, opening)))

    def _parts(
        self,
        first_start: FirstStart,
        users: Users,
        fail: Callable[[BaseException], None],
        commit: Callable[[Mapping[int, int]], Awaitable[None]],
    ) -> Engine:
        """Sink, engine and deliverer of one life, made for each other."""
        around, destination = self._surroundings, self.published.definition
        settings, topics = around.settings, around.topics
        prefix, max_samples = settings.topics.prefix, settings.state.max_samples
        letters = DeadLetters(around.producer, prefix, destination.name, topics.transitions, around.told)
        backlog = Backlog()
        engine = Engine(
            destination,
            make_sink(destination, context_of(settings, self.secrets)),
            self.secrets,
            users,
            letters.bury,
            fail,
            settings.deliver.in_flight,
            self.report,
            span=backlog.span,
        )
        # Members are shared out to the partitions that there were then: added ones are read from their start.
        then = replace(topics, partitions=len(first_start.offsets))
        consumers = partial(committed_consumer, broker_of(settings))
        parse = partial(parse_published, max_samples=max_samples)
        members = MemberReader(destination, then, consumers, parse, max_samples)
        self.deliverer = Deliverer(
            destination,
            engine,
            letters,
            then,
            consumers,
            commit,
            fail,
            backlog,
            members,
            around.told.warnings,
            around.erasures,
        )
        return engine

    def _faust_app(self, first_start: FirstStart, folder: str) -> DeliverApp:
        settings, name = self._surroundings.settings, self.published.definition.name
        assert self.deliverer is not None
        return deliver_app(
            group=group_of(settings.topics.prefix, self.published),
            broker=broker_of(settings),
            instance_id=settings.worker.id and f"{settings.worker.id}-{name}",
            data_dir=folder,
            topic=self._surroundings.topics.transitions,
            task=self.deliverer,
            first_start=first_start,
        )

    async def _make_dead_letter_topic(self) -> None:
        around, topics = self._surroundings, self._surroundings.settings.topics
        plan, name = plan_of(around.settings), self.published.definition.name
        topic = plan.undelivered_topic(name, around.topics.partitions)
        await make_missing(around.admin, [topic], topics.replication)


async def _live(app: DeliverApp) -> None:
    """Start it, which lasts until its group has let it in, and wait for its end."""
    await app.start()
    await app.wait_until_stopped()


async def _clean_up(
    app: DeliverApp, engine: Engine, users: Users, tasks: Sequence[asyncio.Task[None]]
) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    await engine.close()
    await users.close()


async def _to_its_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """A cancellation doesn't cut it short and is raised afterwards: what stays of an app that was not
    stopped would keep its partitions from the next one."""
    task = asyncio.create_task(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _tell(fail: Callable[[BaseException], None], task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fail(error)
