"""HTTP on the worker: membership, health and metrics (docs/http.md).

A lookup is right at the instant of the request: timers that are due are decided on a copy of the row.
What another worker owns is fetched from it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from agents.evaluate.evaluator import Answer
from agents.evaluate.records import MAX_NAME_CHARS
from agents.faust.app import owner_url
from agents.kafka.placement import partition_of
from app.http.base import CALLER, Health, HttpBase, Route, parameter
from app.http.problems import HttpProblem, json_answer
from app.http.tls import Trust, certificate_of
from app.worker.http_explain import explanation
from rules.compile.rule_set import CompiledAudience, ProjectRules
from rules.decide.predict import predict_exit
from rules.state.row import Membership, Row
from rules.time.instants import format_instant

if TYPE_CHECKING:
    from app.worker.worker import Worker

log = structlog.get_logger("turnstile.http")

FORWARDED = "x-turnstile-forwarded"
"""Marks a request from another worker, which is answered here or not at all. It opens nothing."""
FORWARD_SECONDS = 5.0
KEY_HEADERS = ("api-key", "Authorization")
"""Where a key may be; the first that is there counts."""
ANSWER_HEADERS = ("Retry-After", "WWW-Authenticate")
INSTEAD = "-"
"""In a path, for a user whom the query names."""
RESERVED = "%!$&'()*+,/:;=?@[]-._~"
"""What a request's target holds unquoted (RFC 3986)."""


class Server:
    """The HTTP side of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._session: ClientSession | None = None
        self._trust = Trust(worker.settings.http.tls_ca_file, worker.warnings)
        routes = (
            ("/v1/users/{user_id:[^/]+}/audiences", self._user_audiences),
            ("/v1/users/{user_id:[^/]+}", self._user),
            ("/v1/users/{user_id:[^/]+}/explain/{audience:[^/]+}", self._explain),
            ("/v1/audiences/{audience:[^/]+}/members/{user_id:[^/]+}", self._member),
        )
        self._base = HttpBase(
            "http",
            worker.settings.http,
            worker.keys,
            Health(
                lambda: worker.crashed is None,
                worker.not_ready,
                self._details,
                worker.metrics.registry,
                worker.warnings,
            ),
            [Route("GET", path, handler, "lookup") for path, handler in routes],
            self._answered,
            certificate_of(worker.settings.http, worker.warnings),
        )

    @property
    def url(self) -> str:
        return self._base.url

    async def start(self) -> None:
        """Raises CommandFailed when it can't listen."""
        self._session = ClientSession(timeout=ClientTimeout(total=FORWARD_SECONDS))
        await self._base.start()

    async def stop(self) -> None:
        await self._base.stop()
        if self._session is not None:
            await self._session.close()

    # -- lookups -------------------------------------------------------------------------------------

    async def _user(self, request: web.Request) -> web.StreamResponse:
        """Attributes, identities, memberships; 404 for a user of whom nothing is known."""
        project, user_id = _project(request), _user_id(request)
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
        project, user_id = _project(request), _user_id(request)
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
                if membership is not None and membership.inside:
                    exit_ms = predict_exit(rules, audience, row, max(answer.at_ms, row.now_ms))
                    found.append(
                        {"id": audience.id, "name": audience.name, **_stay(row, membership, exit_ms)}
                    )
        return found

    async def _member(self, request: web.Request) -> web.StreamResponse:
        project, user_id = _project(request), _user_id(request)
        audience_id = request.match_info["audience"]
        rules, audience = self._audience(project, audience_id)
        answer = self._worker.evaluator.answer(user_id, self._worker.partitions)
        if answer is None:
            return await self._forward(request, user_id)
        _ready(answer, audience_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        membership = row.audiences.get(audience.key) if row is not None else None
        body: dict[str, object] = {"member": False, "since": None, "exit_at": None}
        if row is not None and membership is not None and membership.inside:
            exit_ms = predict_exit(rules, audience, row, max(answer.at_ms, row.now_ms))
            body = {"member": True, **_stay(row, membership, exit_ms)}
        return json_answer({**body, "at": _at(answer)})

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        project, user_id = _project(request), _user_id(request)
        audience_id = request.match_info["audience"]
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
        raise HttpProblem(
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
            raise HttpProblem(503, "Not available now", f"partition {partition} is being moved or restored")
        headers = {FORWARDED: "1"}
        if self._worker.keys.asks:  # the owner asks, too; where nobody does, a header might be anything
            used = next(name for name in KEY_HEADERS if name in request.headers)
            headers[used] = request.headers[used]
        assert self._session is not None
        try:
            async with self._session.get(
                URL(url.rstrip("/") + _target(request), encoded=True),
                headers=headers,
                allow_redirects=False,
                ssl=self._trust(),
            ) as answer:
                body = await answer.read()
                forwarded = web.Response(
                    body=body, status=answer.status, content_type=answer.content_type, charset="utf-8"
                )
                for name in ANSWER_HEADERS:
                    if name in answer.headers:
                        forwarded.headers[name] = answer.headers[name]
                return forwarded
        except (ClientError, TimeoutError, ValueError) as error:
            detail = f"the owner at {url} does not answer: {error!r}"
            raise HttpProblem(503, "Not available now", detail) from None

    # -- health --------------------------------------------------------------------------------------

    def _details(self) -> dict[str, object]:
        worker, tasks = self._worker, self._worker.evaluator.tasks
        return {
            "partitions": sorted(tasks),
            "of_partitions": worker.partitions,
            "sweeping": sorted(each for each, task in tasks.items() if task.pipeline.sweeping),
            "overdue": sorted(each for each, task in tasks.items() if task.pipeline.overdue),
            "audiences": sum(len(each.audiences) for each in worker.evaluator.rules.projects.values()),
            "unreadable_definitions": {
                key.decode("utf-8", "replace"): text for key, text in worker.feed.unreadable.items()
            },
        }

    def _answered(self, route: str, status: int, seconds: float) -> None:
        if route.startswith("/v1/"):
            self._worker.metrics.lookups.labels(route.replace(":[^/]+", ""), str(status)).inc()
            self._worker.metrics.lookup_seconds.observe(seconds)


def _project(request: web.Request) -> str:
    """The project that is asked about. Raises HttpProblem when the caller's key isn't for it."""
    project = parameter(request, "project") or "default"
    request[CALLER].require_project(project)
    return project


def _user_id(request: web.Request) -> str:
    """The user that the path names; in the place of ``-`` the one that the query names.

    A path can't carry every id through every client and proxy: ``.`` and ``..`` go out of it on the way.
    Raises HttpProblem for an id that no user can have.
    """
    user_id, other = request.match_info["user_id"], parameter(request, "user_id")
    if other is not None:
        if user_id not in (INSTEAD, other):
            detail = f"the path names user {user_id!r}, the query {other!r}: write {INSTEAD!r} in the path"
            raise HttpProblem(400, "Bad request", detail)
        user_id = other
    if not 0 < len(user_id) <= MAX_NAME_CHARS:
        raise HttpProblem(400, "Bad request", f"a user id has 1 to {MAX_NAME_CHARS} characters")
    return user_id


def _target(request: web.Request) -> str:
    """Path and query as they came, for the owner: nothing may be resolved or decoded on the way."""
    return quote(request.rel_url.raw_path_qs, safe=RESERVED)


def _no_such_user(project: str, user_id: str) -> HttpProblem:
    return HttpProblem(404, "No such user", f"project {project!r} knows nothing of user {user_id!r}")


def _ready(answer: Answer, audience_id: str) -> None:
    if answer.pipeline.sweeping:
        raise HttpProblem(
            409, "Audience is not ready", f"the rows are still being looked at for {audience_id!r}"
        )


def _stay(row: Row, membership: Membership, exit_ms: int | None) -> dict[str, object]:
    return {
        "since": format_instant(row.since_ms(membership)),
        "exit_at": None if exit_ms is None else format_instant(exit_ms),
        "version": membership.version,
    }


def _at(answer: Answer) -> str:
    return format_instant(answer.at_ms)
