"""HTTP on the worker: membership, health and metrics (docs/http.md).

A lookup is right at the instant of the request: timers that are due are decided on a copy of the row.
What another worker owns is fetched from it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Protocol

from aiohttp import web

from agents.evaluate.evaluator import Answer, Evaluator
from agents.registry.audiences_feed import AudiencesFeed
from agents.warnings import Warnings
from app.http.answers import Json
from app.http.api_keys import KeyRing
from app.http.base import Health, HttpBase
from app.http.problems import HttpProblem
from app.http.routes import Route
from app.http.tls import Trust, certificate_of
from app.http.warnings import shown_warnings
from app.settings.tree import Settings
from app.worker.answers import (
    Explanation,
    Member,
    MemberAudience,
    StateSummary,
    User,
    UserAudiences,
    WorkerReadiness,
)
from app.worker.asked import PROJECT, USER_ID, project_of, user_id_of
from app.worker.forwarding import Forwarding
from app.worker.http_explain import explanation
from app.worker.metrics import WorkerMetrics
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.state.row import Membership, Row
from rules.time.instants import format_instant


class Holder(Protocol):
    """What lookups need of a worker: the rows that it holds, and who holds the others."""

    settings: Settings
    warnings: Warnings
    keys: KeyRing
    metrics: WorkerMetrics
    evaluator: Evaluator
    feed: AudiencesFeed
    partitions: int

    @property
    def advertised_url(self) -> str: ...

    @property
    def crashed(self) -> BaseException | None: ...

    def not_ready(self) -> list[str]: ...

    def owner_of(self, user_id: str) -> tuple[int, str | None]: ...


class Server:
    """The HTTP side of one worker."""

    def __init__(self, worker: Holder) -> None:
        self._worker = worker
        http, warnings = worker.settings.http, worker.warnings
        trust = Trust(http.tls_ca_file, warnings)
        self._forwarding = Forwarding(worker.owner_of, worker.advertised_url, worker.keys, trust)
        health = Health(
            lambda: worker.crashed is None,
            worker.not_ready,
            self._readiness,
            worker.metrics.registry,
            warnings,
        )
        certificate = certificate_of(http, warnings)
        routes = self._routes()
        self._base = HttpBase("http", http, worker.keys, health, routes, self._answered, certificate)

    def _routes(self) -> list[Route]:
        asked = (USER_ID, PROJECT)
        user = "/v1/users/{user_id:[^/]+}"
        return [
            Route(
                "GET",
                user + "/audiences",
                self._user_audiences,
                "lookup",
                "Audiences the user is in, at the instant of the request",
                query=asked,
            ),
            Route(
                "GET",
                user,
                self._user,
                "lookup",
                "Attributes, identities and memberships of a user",
                query=asked,
                problems=(404,),
            ),
            Route(
                "GET",
                user + "/explain/{audience:[^/]+}",
                self._explain,
                "lookup",
                "Why the user is in the audience or not: the rule as a tree of sentences, facts",
                query=asked,
                problems=(404, 409),
            ),
            Route(
                "GET",
                "/v1/audiences/{audience:[^/]+}/members/{user_id:[^/]+}",
                self._member,
                "lookup",
                "Whether the user is in the audience, at the instant of the request",
                query=asked,
                problems=(404, 409),
            ),
        ]

    @property
    def url(self) -> str:
        return self._base.url

    async def start(self) -> None:
        """Raises CommandFailed when it can't listen."""
        await self._forwarding.start()
        await self._base.start()

    async def stop(self) -> None:
        await self._base.stop()
        await self._forwarding.stop()

    # -- lookups -------------------------------------------------------------------------------------

    async def _user(self, request: web.Request) -> Json[User] | web.Response:
        """Attributes, identities, memberships; 404 for a user of whom nothing is known."""
        project, user_id = project_of(request), user_id_of(request)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forwarding.fetch(request, user_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        return Json(
            User(
                user_id,
                project,
                _at(answer),
                row.attributes,
                row.identities,
                self._memberships(answer, project, row),
                StateSummary(len(row.conditions), format_instant(row.now_ms)),
            )
        )

    async def _user_audiences(self, request: web.Request) -> Json[UserAudiences] | web.Response:
        project, user_id = project_of(request), user_id_of(request)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forwarding.fetch(request, user_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        audiences = self._memberships(answer, project, row)
        return Json(UserAudiences(user_id, project, _at(answer), audiences))

    def _memberships(self, answer: Answer, project: str, row: Row | None) -> list[MemberAudience]:
        """The audiences that a user is in."""
        rules = answer.pipeline.rules.project(project)
        found: list[MemberAudience] = []
        if row is not None:
            for audience in rules.audiences:
                membership = row.audiences.get(audience.key)
                if membership is not None and membership.inside:
                    stay = _stay(answer, rules, audience, row, membership)
                    found.append(MemberAudience(audience.id, audience.name, *stay, membership.version))
        return found

    async def _member(self, request: web.Request) -> Json[Member] | web.Response:
        project, user_id = project_of(request), user_id_of(request)
        audience_id = request.match_info["audience"]
        rules, audience = self._audience(project, audience_id)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forwarding.fetch(request, user_id)
        _ready(answer, audience_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        membership = row.audiences.get(audience.key) if row is not None else None
        if row is None or membership is None or not membership.inside:
            return Json(Member(False, None, None, _at(answer)))
        since, exit_at = _stay(answer, rules, audience, row, membership)
        return Json(Member(True, since, exit_at, _at(answer), membership.version))

    async def _explain(self, request: web.Request) -> Json[Explanation] | web.Response:
        project, user_id = project_of(request), user_id_of(request)
        audience_id = request.match_info["audience"]
        rules, audience = self._audience(project, audience_id)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forwarding.fetch(request, user_id)
        _ready(answer, audience_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        return Json(explanation(rules, audience, user_id, row, max(answer.at_ms, row.now_ms)))

    def _audience(self, project: str, audience_id: str) -> tuple[ProjectRules, CompiledAudience]:
        rules = self._worker.evaluator.rules.project(project)
        audience = rules.by_id(audience_id)
        if audience is not None:
            return rules, audience
        near = get_close_matches(audience_id, [each.id for each in rules.audiences], n=1)
        raise HttpProblem(
            404,
            "No such audience",
            f"project {project!r} has no audience {audience_id!r}",
            hint=f"did you mean {near[0]!r}?" if near else "",
        )

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
            overdue=sorted(each for each, task in tasks.items() if task.pipeline.overdue),
            audiences=sum(len(each.audiences) for each in worker.evaluator.rules.projects.values()),
            unreadable_definitions={
                key.decode("utf-8", "replace"): text for key, text in worker.feed.unreadable.items()
            },
        )

    def _answered(self, route: str, status: int, seconds: float) -> None:
        if route.startswith("/v1/"):
            self._worker.metrics.lookups.labels(route.replace(":[^/]+", ""), str(status)).inc()
            self._worker.metrics.lookup_seconds.observe(seconds)


def _no_such_user(project: str, user_id: str) -> HttpProblem:
    return HttpProblem(404, "No such user", f"project {project!r} knows nothing of user {user_id!r}")


def _ready(answer: Answer, audience_id: str) -> None:
    if answer.pipeline.sweeping:
        raise HttpProblem(
            409, "Audience is not ready", f"the rows are still being looked at for {audience_id!r}"
        )


def _stay(
    answer: Answer, rules: ProjectRules, audience: CompiledAudience, row: Row, membership: Membership
) -> tuple[str, str | None]:
    """Since when a user is in, and when the user leaves if nothing happens."""
    exit_ms = predict_exit(rules, audience, row, max(answer.at_ms, row.now_ms))
    return (
        format_instant(row.since_ms(membership)),
        None if exit_ms is None else format_instant(exit_ms),
    )


def _at(answer: Answer) -> str:
    return format_instant(answer.at_ms)
