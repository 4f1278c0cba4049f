"""HTTP on the worker: membership, health and metrics (docs/http.md).

A lookup is right at the instant of the request: timers that are due are decided on a copy of the row.
What another worker owns is fetched from it.
"""

from __future__ import annotations

from app.http.base import Health, HttpBase
from app.http.forwarding import Forwarding
from app.http.rate_limits import rate_limits_of
from app.http.silence import Silence
from app.http.tls import Trust, certificate_of
from app.http.warnings import shown_warnings
from app.kafka.configured import broker_of, plan_of
from app.live.routes import LiveFeeds
from app.lookup.lookups import Lookups
from app.lookup.others import OtherProcesses
from app.lookup.resolver import Resolver
from app.lookup.routes import LookupRoutes
from app.sensors.exists import look_for_callers
from app.sensors.routes import FORMS, sensors_routes
from app.worker.answers import WorkerReadiness
from app.worker.asked import audience_of
from app.worker.audiences.routes import AudienceRoutes
from app.worker.audiences.sizes import KnownSizes
from app.worker.erasing.routes import ErasureRoutes
from app.worker.following.answering import HeldByReader
from app.worker.following.fallback import or_standby
from app.worker.held import HeldByWorker
from app.worker.holder import Holder
from app.worker.http_members import AudienceMembers
from app.worker.http_users import UserLookups
from app.worker.identities.rebuilding import IdentityRebuilding
from app.worker.identities.routes import Identities
from app.worker.serving import ServesLookups

PATIENCE_SECONDS = 0.5
"""How long an owner may take where standbys are kept."""


class Server(ServesLookups):
    """The HTTP side of one worker."""

    def __init__(self, worker: Holder) -> None:
        super().__init__(worker.metrics)
        self._worker = worker
        http, warnings = worker.settings.http, worker.warnings
        trust = Trust(http.tls_ca_file, warnings)
        known = worker.advertised_url, worker.keys, trust
        has_standbys, silence = worker.settings.worker.standbys > 0, Silence()
        # Where a standby answers instead, nobody waits long for an owner.
        patience = (PATIENCE_SECONDS, silence) if has_standbys else ()
        forwarding = Forwarding(worker.url_of, *known, *patience)
        to_standbys = Forwarding(lambda each: worker.standbys.url_of(each), *known)
        self._forwarding = forwarding, to_standbys
        health = Health(
            lambda: worker.crashed is None,
            worker.not_ready,
            self._readiness,
            worker.metrics.registry,
            warnings,
        )
        certificate = certificate_of(http, warnings)
        members = AudienceMembers(worker, forwarding)
        identities = Identities(worker, forwarding)
        resolver = identities.resolver
        others = OtherProcesses(forwarding)
        then = self._lookups_of_standbys(to_standbys, resolver) if has_standbys else None
        lookups = Lookups(HeldByWorker(worker), others, resolver, then)
        lookup = LookupRoutes(lookups, forwarding)
        users = UserLookups(worker, forwarding, resolver)
        self._definitions = definitions = AudienceRoutes(worker, KnownSizes(worker, members).of)
        self._uncounted = definitions.paths
        self._live = LiveFeeds(
            broker_of(worker.settings),
            plan_of(worker.settings).transitions,
            worker.keys,
            lambda project, audience: audience_of(worker.evaluator.rules, project, audience),
            worker.metrics.registry,
        )
        erasing = ErasureRoutes(worker, users.user_id_of)
        sensors = sensors_routes(worker, look_for_callers(lookups, forwarding))
        of_audiences = [*members.routes(), *self._live.routes(), *definitions.routes()]
        of_users = users.routes()
        if has_standbys:
            of_standbys = UserLookups(worker.standbys, to_standbys, resolver).routes()
            of_users = [or_standby(*each) for each in zip(of_users, of_standbys, strict=True)]
        routes = [*of_users, *lookup.routes(), *identities.routes(), *of_audiences, *sensors]
        routes += erasing.routes()
        routes += IdentityRebuilding(worker, forwarding).routes()
        self._base = HttpBase(
            "http",
            http,
            worker.keys,
            health,
            routes,
            self._answered,
            certificate,
            FORMS,
            rate_limits_of(http),
        )

    def _lookups_of_standbys(self, forwarding: Forwarding, resolver: Resolver) -> Lookups:
        standbys = self._worker.standbys
        held = HeldByReader(standbys, standbys.evaluator, standbys.reached, self._worker.metrics)
        return Lookups(held, OtherProcesses(forwarding), resolver)

    # -- health --------------------------------------------------------------------------------------

    def _readiness(self) -> WorkerReadiness:
        worker, tasks = self._worker, self._worker.evaluator.tasks
        reasons = worker.not_ready()
        return WorkerReadiness(
            ready=not reasons,
            reasons=reasons,
            warnings=shown_warnings(worker.warnings),
            partitions=sorted(tasks),
            of_partitions=worker.partitions,
            sweeping=sorted(each for each, task in tasks.items() if task.pipeline.sweeping),
            pending=worker.past.upkeep.pending,
            overdue=sorted(each for each, task in tasks.items() if task.pipeline.overdue),
            standbys=worker.standbys.kept,
            engine=worker.engine.name,
            engine_reason=worker.engine.why,
            audiences=sum(len(each.audiences) for each in worker.evaluator.rules.projects.values()),
            unreadable_definitions={
                key.decode("utf-8", "replace"): text for key, text in worker.feed.unreadable.items()
            },
        )
