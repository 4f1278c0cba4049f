"""HTTP on a reader: every lookup that a worker answers, definitions to read, health and metrics."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import Protocol

from aiohttp import web

from agents.backfill.progress.progress import ProgressOfVersions
from agents.follow.view import RowElsewhere
from agents.notices.addresses import NotifyAddresses
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from agents.warnings import Warnings
from app.http.answers import Instant, Readiness
from app.http.api_keys import KeyRing
from app.http.base import Health, HttpBase
from app.http.forwarding import Forwarding
from app.http.rate_limits import rate_limits_of
from app.http.routes import Route
from app.http.tls import Trust, certificate_of
from app.http.warnings import shown_warnings
from app.kafka.configured import broker_of, plan_of
from app.live.routes import LiveFeeds
from app.lookup.lookups import Lookups
from app.lookup.others import OtherProcesses
from app.lookup.routes import LookupRoutes
from app.sensors.exists import look_for_callers
from app.sensors.routes import FORMS, sensors_routes
from app.serve.metrics import ReaderMetrics
from app.settings.tree import Settings
from app.worker.asked import audience_of
from app.worker.audiences.definitions import Definitions
from app.worker.audiences.reading import ReadRoutes
from app.worker.audiences.shown import Known
from app.worker.audiences.sizes import KnownSizes
from app.worker.following.answering import HeldByReader, ReaderAnswers, ReaderVersions
from app.worker.following.reached import Reached
from app.worker.http_members import AudienceMembers
from app.worker.http_users import UserLookups
from app.worker.identities.routes import Identities, Kept
from app.worker.serving import ServesLookups
from rules.time.instants import format_instant


class ReaderReadiness(Readiness, frozen=True, kw_only=True):
    """Partitions by number: those that can be asked here, each with the instant of its answers."""

    partitions: dict[int, Instant]
    of_partitions: int
    unfollowed: dict[int, str]
    audiences: int


class ServedReader(Protocol):
    """What the HTTP side needs of a reader (an ``app.worker.askable.Asked``)."""

    settings: Settings
    number: int
    warnings: Warnings
    keys: KeyRing
    metrics: ReaderMetrics
    evaluator: ReaderAnswers
    past: ReaderVersions
    feed: AudiencesFeed
    progress: Feed[ProgressOfVersions]
    notify: Feed[NotifyAddresses]
    reached: Reached

    @property
    def identities(self) -> Kept: ...

    @property
    def partitions(self) -> int: ...

    @property
    def unfollowed(self) -> dict[int, str]: ...

    @property
    def crashed(self) -> BaseException | None: ...

    def not_ready(self) -> list[str]: ...

    def owner_of(self, user_id: str) -> tuple[int, str | None]: ...

    def url_of(self, partition: int) -> str | None: ...


class ReaderServer(ServesLookups):
    """The HTTP side of one reader."""

    def __init__(self, reader: ServedReader) -> None:
        super().__init__(reader.metrics)
        self._reader = reader
        settings, warnings = reader.settings, reader.warnings
        trust = Trust(settings.http.tls_ca_file, warnings)
        forwarding = Forwarding(reader.url_of, "", reader.keys, trust)
        self._forwarding = (forwarding,)
        health = Health(
            lambda: reader.crashed is None,
            reader.not_ready,
            self._readiness,
            reader.metrics.registry,
            warnings,
        )
        identities = Identities(reader, forwarding)
        resolver = identities.resolver
        held = HeldByReader(reader, reader.evaluator, reader.reached, reader.metrics)
        lookups = Lookups(held, OtherProcesses(forwarding), resolver)
        members = AudienceMembers(reader, forwarding)
        self._definitions = Definitions(settings)
        sizes = KnownSizes(reader, members).of
        users = UserLookups(reader, forwarding, resolver)
        self._live = LiveFeeds(
            broker_of(settings),
            plan_of(settings).transitions,
            reader.keys,
            lambda project, audience: audience_of(reader.evaluator.rules, project, audience),
            reader.metrics.registry,
        )
        routes = [
            *(self._or_owner(each) for each in users.routes()),
            *LookupRoutes(lookups, forwarding).routes(),
            *identities.routes(),
            *members.routes(),
            *self._live.routes(),
            *ReadRoutes(Known(reader), self._definitions, sizes).routes(),
            *sensors_routes(reader, look_for_callers(lookups, forwarding)),
        ]
        serve = settings.serve
        if serve.probe_port and reader.number:
            serve = serve.model_copy(update={"probe_port": serve.probe_port + reader.number})
        self._base = HttpBase(
            "serve",
            serve,
            reader.keys,
            health,
            routes,
            self._answered,
            certificate_of(settings.http, warnings),
            FORMS,
            rate_limits_of(settings.http),
            is_shared=serve.processes > 1,
        )

    def _or_owner(self, route: Route) -> Route:
        """The same route; what only the user's owner can tell is asked of it."""
        asked, reader = route.handler, self._reader

        @wraps(asked)
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await asked(request)
            except RowElsewhere as elsewhere:
                reader.metrics.asked_owner.inc()
                return await self._forwarding[0].fetch(request, elsewhere.partition)

        return replace(route, handler=handler)

    def _readiness(self) -> ReaderReadiness:
        reader, replicas = self._reader, self._reader.evaluator.replicas
        reasons = reader.not_ready()
        known = {} if replicas is None else replicas.known
        return ReaderReadiness(
            ready=not reasons,
            reasons=reasons,
            warnings=shown_warnings(reader.warnings),
            partitions={each: format_instant(it.as_of_ms) for each, it in sorted(known.items()) if it.stands},
            of_partitions=reader.partitions,
            unfollowed=reader.unfollowed,
            audiences=sum(len(each.audiences) for each in reader.evaluator.rules.projects.values()),
        )
