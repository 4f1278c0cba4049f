"""``turnstile deliver``: every destination's Faust app, started, watched, started again, stopped in order.

One process, one Faust app per destination: each has its own consumer, consumer group, engine and
connections, so its own pace. A destination waits on its receiver, not on the processor, so a dead one costs
the others nothing; one that crashes is started again by itself. Whoever wants a process for a destination,
or several that share its partitions, names it: ``turnstile deliver crm``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.connections.published import connections_feed
from agents.connections.resolve import resolved_or_refused
from agents.deliver.definitions.published import DestinationsFeed, PublishedDestination
from agents.deliver.input_topics import InputTopics
from agents.evaluate.outputs import Told
from agents.kafka.clients import committed_consumer, new_admin
from agents.kafka.watch import KafkaWatch
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences import Audiences
from agents.registry.erasures import erasures_feed
from agents.registry.feed import Feed
from agents.topics import ensure_topics, make_missing
from agents.topics.delivery import destinations_topic
from agents.topics.fault import raise_if_unusable
from agents.topics.judge import judge
from agents.warnings import Warnings
from app.deliver.clients import new_producer
from app.deliver.destination import Running, Surroundings
from app.deliver.first_starts import FirstStarts
from app.deliver.http import DeliverServer
from app.deliver.noted import note_lacking, note_refused
from app.deliver.notices import Notices
from app.deliver.topics import check_destinations, watch_topics
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, parse_published, plan_of
from app.logs import folded_lines
from app.publish.topics import DefinitionTopics
from app.settings.tree import Settings
from app.supervisor import Supervisor
from rules.compile.audience import PublishedAudience

log = structlog.get_logger("turnstile.deliver")

STOP_SECONDS = 30.0


class DeliveryService:
    """Follows the published destinations; runs those in ``names``, or all of them."""

    def __init__(self, settings: Settings, names: Sequence[str] = ()) -> None:
        self.settings = settings
        self.names = frozenset(names)
        self.warnings = Warnings()
        self.told = Told(warnings=self.warnings)
        self.broker = broker_of(settings)
        self.kafka = KafkaWatch(self.broker, self.warnings, folded_lines)
        self.plan = plan_of(settings)
        self.definitions = DefinitionTopics(settings)
        new = partial(committed_consumer, self.broker)
        keys = api_keys_feed(new, self.plan.keys, self.warnings)
        self.keys = KeyRing(settings.http, keys, self.warnings)
        self.running: dict[str, Running] = {}
        topic = destinations_topic(settings.topics.prefix)
        self.feed = DestinationsFeed(new, topic, self._reconcile_soon, self.warnings)
        parse = partial(parse_published, max_samples=settings.state.max_samples)
        found = Audiences(self.plan.audiences, parse)
        # Workers warn of definitions that can't be used; here it makes no difference.
        self._audiences = Feed(new, found, "definition_unreadable", changed=self._reconcile_soon)
        self.connections = connections_feed(new, self.plan.connections, self.warnings, self._reconcile_soon)
        self.erasures = erasures_feed(new, self.plan.erasures, self.warnings)
        self._reconcile = asyncio.Event()
        self.notices: Notices | None = None
        """None: not yet."""
        self._surroundings: Surroundings
        self._producer: AIOKafkaProducer
        self._admin: AIOKafkaAdminClient
        self._supervisor = Supervisor(_tell)

    @property
    def audiences(self) -> Mapping[bytes, PublishedAudience]:
        """Those that are published, deleted ones included."""
        return self._audiences.registry.published

    @property
    def stopping(self) -> asyncio.Event:
        return self._supervisor.stopping

    @property
    def crashed(self) -> BaseException | None:
        """Why it ends, if that isn't ``stop``."""
        return self._supervisor.failure

    # -- life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, deliver until ``stop``, stop."""
        self._admin = new_admin(self.broker)
        life = self._supervisor
        server = DeliverServer(self)
        try:
            topics = await life.unless_stopped(self._prepare())
            if topics is None:
                return
            self._producer = new_producer(self.settings)
            await self._producer.start()
            starts = FirstStarts(
                self.settings.topics.prefix,
                self.plan.transitions,
                self.broker,
                self._admin,
                self._producer,
                self.feed,
                self._read,
            )
            self._surroundings = Surroundings(
                self.settings,
                topics,
                self._producer,
                self._admin,
                starts.of,
                self.told,
                self.kafka,
                self.keys.digests,
                self.erasures.registry,
            )
            life.start("keys", self.keys.follow())
            life.start("audiences", self._audiences.run())
            life.start("connections", self.connections.run())
            life.start("erasures", self.erasures.run())
            await self.keys.wait_loaded()
            await life.unless_stopped(self._audiences.loaded.wait())
            await life.unless_stopped(self.erasures.loaded.wait())
            await server.start()
            life.start("kafka", self.kafka.run())
            life.start("feed", self.feed.run())
            self.notices = Notices(
                self.settings, self.plan, topics.changelog_partitions, self._audiences, self.warnings
            )
            life.start("notices", self.notices.run())
            life.start("reconcile", self._follow())
            kept = (topics.transitions, self.plan.destinations)
            life.start("topics", watch_topics(self._admin, kept))
            log.info("deliver_started", http=server.url, names=sorted(self.names) or "all")
            await self.stopping.wait()
        finally:
            await life.end()
            await asyncio.gather(*(each.end() for each in self.running.values()))
            await server.stop()
            if hasattr(self, "_producer"):
                await self._producer.stop()
            await self._admin.close()
            self.told.letters.close()
            log.info("deliver_stopped")
        if self.crashed is not None:
            raise self.crashed

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._supervisor.stop()

    async def _prepare(self) -> InputTopics:
        await self._admin.start()
        topics = self.settings.topics
        plan = self.plan
        own = [plan.destinations_topic(), plan.connections_topic(), plan.notices_topic()]
        own.append(plan.erasures_topic())
        counts = await ensure_topics(
            self._admin,
            plan,
            topics.partitions,
            topics.replication,
            create_sources=topics.create,
        )
        cluster = await make_missing(self._admin, own, topics.replication)
        raise_if_unusable(judge(own, cluster))
        return InputTopics(
            plan.transitions,
            counts[plan.transitions],
            plan.changelog,
            counts[plan.changelog],
            plan.audiences,
        )

    # -- destinations --------------------------------------------------------------------------------

    def wanted(self) -> Mapping[str, PublishedDestination]:
        """What is to be delivered to by this process, the paused ones included, each with what its connection
        says."""
        connections = self.connections.registry.published
        return {
            name: replace(each, definition=resolved_or_refused(each.definition, connections))
            for name, each in self.feed.published.items()
            if not each.deleted and (not self.names or name in self.names)
        }

    def _reconcile_soon(self) -> None:
        self._reconcile.set()

    async def _follow(self) -> None:
        await self.feed.loaded.wait()
        await self.connections.loaded.wait()
        registry = self.feed.registry
        known = registry.published.keys() | registry.unusable_versions.keys()
        await check_destinations(self._admin, self.plan, known)
        while True:
            await self._reconcile.wait()
            self._reconcile.clear()
            wanted = self.wanted()
            if missing := sorted(self.names - wanted.keys()):
                log.warning("not_published", names=missing, known=sorted(self.feed.published))
            changed = [
                running for name, running in self.running.items() if wanted.get(name) != running.published
            ]
            await asyncio.gather(*(running.end() for running in changed))
            for running in changed:
                del self.running[running.published.definition.name]
            note_refused(self.warnings, self.feed.published, wanted, self.running)
            note_lacking(self.warnings, self.feed.published, wanted, self.audiences.values())
            for name, published in wanted.items():
                if name not in self.running:
                    self.running[name] = Running(published, self._surroundings)
                    self.running[name].begin()

    async def _read(self, is_known: Callable[[], bool]) -> None:
        """Wait until the feed has read what was written."""
        async with asyncio.timeout(STOP_SECONDS):
            while not is_known():
                await asyncio.sleep(0.02)


def _tell(error: BaseException) -> None:
    if message_for_users(error) is None:
        log.error("deliver_crashed", error=repr(error), exc_info=error)


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
