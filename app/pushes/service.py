"""A process of pushes: it follows the changelogs into stores of its own, and one of all carries runs out.

The others keep their stores up to date, so that whoever leads next needs no recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from agents.connections.published import PublishedConnections, connections_feed
from agents.kafka.clients import committed_consumer, new_admin
from agents.kafka.producer import Producer
from agents.kafka.watch import KafkaWatch
from agents.pushes.contract.target import Targets
from agents.pushes.engine.book import Book
from agents.pushes.published import pushes_feed
from agents.pushes.runs import Ledger, Request, record_of
from agents.pushes.spool import Spools
from agents.registry.api_keys_topic import api_keys_feed
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.erasures import erasures_feed
from agents.registry.feed import Feed
from agents.registry.leading import Leading, Write
from agents.registry.topic import publish
from agents.topics import make_missing
from agents.topics.fault import raise_if_unusable
from agents.topics.judge import judge
from agents.warnings import Warnings
from app.deliver.clients import new_producer
from app.failures import message_for_users
from app.http.api_keys import KeyRing
from app.kafka.configured import broker_of, plan_of
from app.logs import folded_lines
from app.publish.topics import DefinitionTopics
from app.pushes.following import Following
from app.pushes.http import PushServer
from app.pushes.leading import leader_of
from app.pushes.targets import connected_targets
from app.settings.tree import Settings
from app.supervisor import Supervisor
from rules.time.instants import parse_instant

log = structlog.get_logger("turnstile.pushes")

STOP_SECONDS: Final = 20
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
        self.definitions = DefinitionTopics(settings)
        self.warnings = Warnings()
        self.kafka = KafkaWatch(self.broker, self.warnings, folded_lines)
        new = partial(committed_consumer, self.broker)
        plan, warnings = self.plan, self.warnings
        self.keys = KeyRing(settings.http, api_keys_feed(new, plan.keys, warnings), warnings)
        self.pushes = pushes_feed(new, plan.pushes, warnings)
        self.ledger = Feed(new, Ledger(plan.push_runs), LEDGER_UNREADABLE, warnings)
        self.erasures = erasures_feed(new, plan.erasures, warnings)
        self.spools = Spools(settings.pushes.data_dir / LISTS)
        self._admin = new_admin(self.broker)
        self._following = Following(settings, self._admin, warnings)
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
            await life.unless_stopped(self._following.topics.wait())
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
            self._following.begin(self.settings.pushes.data_dir / ROWS, life)
            life.start("leading", self._leading.run())
            log.info("push_worker_started", http=server.url)
            await life.stopping.wait()
        finally:
            await life.end()
            async with asyncio.timeout(STOP_SECONDS):
                await server.stop()
                if self._producer is not None:
                    await self._producer.stop()
                await self._admin.close()
            self._following.close()
            log.info("push_worker_stopped")
        if self.crashed is not None:
            raise self.crashed

    @property
    def _feeds(self) -> Mapping[str, Feed[Any] | AudiencesFeed]:
        return {
            "audiences": self._following.audiences,
            "pushes": self.pushes,
            "connections": self.connections,
            "ledger": self.ledger,
            "erasures": self.erasures,
        }

    async def _make_topics(self) -> None:
        own = [*self.plan.push_topics(), self.plan.connections_topic()]
        cluster = await make_missing(self._admin, own, self.settings.topics.replication)
        raise_if_unusable(judge(own, cluster))

    # -- leading -------------------------------------------------------------------------------------

    async def _lead(self, ledger: Ledger, write: Write) -> None:
        log.info("push_worker_leads")
        book = Book(ledger, write, self._following.wall.now_ms)
        await leader_of(
            self.settings.pushes,
            book,
            lambda: self.pushes.registry.published,
            lambda: self.ledger.registry.requests,
            self._targets,
            self._following.snapshots(),
            self.spools,
            self._erased_since,
        ).run()

    def _erased_since(self, project: str, instant_ms: int) -> frozenset[bytes]:
        return frozenset(
            bytes.fromhex(each.user)
            for each in self.erasures.registry.published.values()
            if each.user and each.project == project and parse_instant(each.at) >= instant_ms
        )

    # -- what others ask -----------------------------------------------------------------------------

    def known_runs(self) -> Ledger:
        return self.ledger.registry

    async def ask(self, request: Request) -> None:
        """Have whoever leads do something."""
        assert self._producer is not None
        await publish(self._producer, self.plan.push_runs, [record_of(request)])

    def not_ready(self) -> list[str]:
        """Why the process couldn't carry out a run now; empty when it could."""
        return self._following.not_ready()


def _tell(error: BaseException) -> None:
    if message_for_users(error) is None:
        log.error("push_worker_crashed", error=repr(error), exc_info=error)
    else:
        log.error("push_worker_stopped_itself", reason=str(error))
