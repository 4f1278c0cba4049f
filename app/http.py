"""HTTP on the worker: membership, health and metrics (spec: contracts.md, section 4).

A lookup is right at the instant of the request: flips that are due are decided on a copy of the row.
What another worker owns is fetched from it.
"""

from __future__ import annotations

import time
from difflib import get_close_matches
from typing import TYPE_CHECKING

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agents.evaluate import Answer
from agents.faust_app import owner_url
from agents.placement import partition_of
from app.api_keys import is_allowed
from app.http_explain import explanation
from app.http_warnings import shown_warnings
from app.openapi import OPENAPI
from app.problems import Handler, Problem, answer_or_problem, json_answer
from rules.compile import CompiledAudience, ProjectRules
from rules.instants import format_instant
from rules.predict import predict_exit
from rules.row import Membership, Row

if TYPE_CHECKING:
    from app.worker import Worker

log = structlog.get_logger("turnstile.http")

FORWARDED = "x-turnstile-forwarded"
"""Marks a request from another worker, which is answered here or not at all."""


class Server:
    """The HTTP side of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self.url = ""

    async def start(self) -> None:
        http = self._worker.settings.http
        app = web.Application(middlewares=[self._problems])
        app.router.add_get("/v1/users/{user_id}/audiences", self._user_audiences)
        app.router.add_get("/v1/users/{user_id}", self._user)
        app.router.add_get("/v1/users/{user_id}/explain/{audience}", self._explain)
        app.router.add_get("/v1/audiences/{audience}/members/{user_id}", self._member)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/openapi.json", self._openapi)
        if not http.api_keys:
            log.warning("no_api_keys", hint="set http.api_keys: now anyone who can connect may look up")
        self._session = ClientSession(timeout=ClientTimeout(total=5))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, http.host, http.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    # -- lookups -------------------------------------------------------------------------------------

    async def _user(self, request: web.Request) -> web.StreamResponse:
        """Attributes, identities, memberships; 404 for a user of whom nothing is known."""
        self._allow(request, "lookup")
        project = request.query.get("project", "default")
        user_id = request.match_info["user_id"]
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forward(request, user_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        return json_answer(
            {
                "user_id": user_id,
                "project": project,
                "at": _at(answer),
                "attributes": row.attributes,
                "identities": row.identities,
                "audiences": self._memberships(answer, project, row),
                "state": {"conditions": len(row.conditions), "now": format_instant(row.now_ms)},
            }
        )

    async def _user_audiences(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "lookup")
        project = request.query.get("project", "default")
        user_id = request.match_info["user_id"]
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forward(request, user_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        return json_answer(
            {
                "user_id": user_id,
                "project": project,
                "at": format_instant(answer.at_ms),
                "audiences": self._memberships(answer, project, row),
            }
        )

    def _memberships(self, answer: Answer, project: str, row: Row | None) -> list[dict[str, object]]:
        """The audiences that a user is in."""
        rules = answer.pipeline.rules.project(project)
        found: list[dict[str, object]] = []
        if row is not None:
            for audience in rules.audiences:
                membership = row.audiences.get(audience.key)
                if membership is not None and membership.seq % 2 == 1:
                    exit_ms = predict_exit(rules, audience, row, max(answer.at_ms, row.now_ms))
                    found.append(
                        {"id": audience.id, "name": audience.name, **_stay(row, membership, exit_ms)}
                    )
        return found

    async def _member(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "lookup")
        project = request.query.get("project", "default")
        user_id, audience_id = request.match_info["user_id"], request.match_info["audience"]
        rules, audience = self._audience(project, audience_id)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forward(request, user_id)
        _ready(answer, audience_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        membership = row.audiences.get(audience.key) if row is not None else None
        body: dict[str, object] = {"member": False, "since": None, "exit_at": None}
        if row is not None and membership is not None and membership.seq % 2 == 1:
            exit_ms = predict_exit(rules, audience, row, max(answer.at_ms, row.now_ms))
            body = {"member": True, **_stay(row, membership, exit_ms)}
        return json_answer({**body, "at": _at(answer)})

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "lookup")
        project = request.query.get("project", "default")
        user_id, audience_id = request.match_info["user_id"], request.match_info["audience"]
        rules, audience = self._audience(project, audience_id)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forward(request, user_id)
        _ready(answer, audience_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        return json_answer(explanation(rules, audience, user_id, row, max(answer.at_ms, row.now_ms)))

    def _audience(self, project: str, audience_id: str) -> tuple[ProjectRules, CompiledAudience]:
        rules = self._worker.evaluator.rules.project(project)
        audience = rules.by_id(audience_id)
        if audience is not None:
            return rules, audience
        near = get_close_matches(audience_id, [each.id for each in rules.audiences], n=1)
        raise Problem(
            404,
            "No such audience",
            f"project {project!r} has no audience {audience_id!r}",
            **({"hint": f"did you mean {near[0]!r}?"} if near else {}),
        )

    async def _forward(self, request: web.Request, user_id: str) -> web.StreamResponse:
        """Fetch the answer from the worker that owns the user."""
        worker = self._worker
        partition = partition_of(user_id, worker.partitions) if worker.partitions else 0
        url = owner_url(worker.app, worker.plan.changelog, partition) if hasattr(worker, "app") else None
        own = worker.advertised_url.rstrip("/")
        if url is None or url.rstrip("/") == own or FORWARDED in request.headers:
            raise Problem(503, "Not available now", f"partition {partition} is being moved or restored")
        headers = {FORWARDED: "1"}
        if "api-key" in request.headers:
            headers["api-key"] = request.headers["api-key"]
        assert self._session is not None
        try:
            async with self._session.get(
                url.rstrip("/") + request.path_qs, headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.read()
                forwarded = web.Response(
                    body=body, status=answer.status, content_type=answer.content_type, charset="utf-8"
                )
                if "Retry-After" in answer.headers:
                    forwarded.headers["Retry-After"] = answer.headers["Retry-After"]
                return forwarded
        except (ClientError, TimeoutError) as error:
            detail = f"the owner at {url} does not answer: {error!r}"
            raise Problem(503, "Not available now", detail) from None

    # -- health --------------------------------------------------------------------------------------

    async def _livez(self, request: web.Request) -> web.StreamResponse:
        alive = self._worker.crashed is None
        return web.Response(text="ok\n" if alive else "crashed\n", status=200 if alive else 500)

    async def _readyz(self, request: web.Request) -> web.StreamResponse:
        reasons = self._worker.not_ready()
        status = 503 if reasons else 200
        if "verbose" not in request.query:
            return web.Response(text="not ready\n" if reasons else "ok\n", status=status)
        evaluator = self._worker.evaluator
        return json_answer(
            {
                "ready": not reasons,
                "reasons": reasons,
                "partitions": sorted(evaluator.lanes),
                "of_partitions": self._worker.partitions,
                "sweeping": sorted(
                    partition for partition, lane in evaluator.lanes.items() if lane.pipeline.sweeping
                ),
                "overdue": sorted(
                    partition for partition, lane in evaluator.lanes.items() if lane.pipeline.overdue
                ),
                "audiences": sum(len(each.audiences) for each in evaluator.rules.projects.values()),
                "unreadable_definitions": {
                    key.decode("utf-8", "replace"): text for key, text in self._worker.feed.unreadable.items()
                },
                "warnings": shown_warnings(self._worker.warnings),
            },
            status=status,
        )

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        body = generate_latest(self._worker.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        return json_answer(OPENAPI)

    # -- around every request ------------------------------------------------------------------------

    def _allow(self, request: web.Request, scope: str) -> None:
        keys = self._worker.settings.http.api_keys
        if not is_allowed(keys, request.headers.get("api-key", ""), scope):
            raise Problem(401, "Not allowed", f"the header api-key must hold a key with the scope {scope!r}")

    @web.middleware
    async def _problems(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await answer_or_problem(request, handler, "; see /openapi.json")
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        if route.startswith("/v1/"):
            self._worker.metrics.lookups.labels(route, str(response.status)).inc()
            self._worker.metrics.lookup_seconds.observe(time.perf_counter() - started)
        return response


def _no_such_user(project: str, user_id: str) -> Problem:
    return Problem(404, "No such user", f"project {project!r} knows nothing of user {user_id!r}")


def _ready(answer: Answer, audience_id: str) -> None:
    if answer.pipeline.sweeping:
        raise Problem(409, "Audience is not ready", f"the rows are still being looked at for {audience_id!r}")


def _stay(row: Row, membership: Membership, exit_ms: int | None) -> dict[str, object]:
    return {
        "since": format_instant(row.since_ms(membership)),
        "exit_at": None if exit_ms is None else format_instant(exit_ms),
        "version": membership.version,
    }


def _at(answer: Answer) -> str:
    return format_instant(answer.at_ms)
