"""HTTP on a process of pushes: definitions, runs, health, metrics.

All of it takes the scope ``destinations``, and a key sees and changes its own projects' only. Any process
answers, whichever leads: what is asked for goes through the ledger. Errors are problem+json.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import PublishedPush, Pushes
from agents.pushes.runs import Action as Asked
from agents.pushes.runs import Ledger, Request, Run, run_id
from agents.pushes.targets.confirmation import is_confirmation
from agents.registry.api_keys import Scope
from agents.registry.feed import Feed
from agents.warnings import Warnings
from app.http.answers import Json
from app.http.api_keys import KeyRing
from app.http.base import CALLER, Health, HttpBase
from app.http.if_match import ETAG, IF_MATCH_MAY, versions_of
from app.http.problems import Handler, HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.rate_limits import rate_limits_of
from app.http.routes import Body, JsonBody, Query, Route
from app.http.tls import certificate_of
from app.http.warnings import WarningsCollector, shown_warnings
from app.publish.author import Author
from app.publish.named.answered import (
    DefinitionBody,
    PublishedVersion,
    changing_routes,
    published_version,
    seen,
    with_etag,
)
from app.publish.named.changes import now_ms, present
from app.publish.named.pushes import delete_push, publish_pushes
from app.publish.named.rights import usable
from app.publish.problems import refusals
from app.publish.topics import DefinitionTopics
from app.pushes.answers import (
    AskedRun,
    Confirmation,
    PushReadiness,
    PushStatus,
    PushStatuses,
    RunStatus,
    RunStatuses,
    push_status,
    run_status,
)
from app.pushes.metrics import PushCollector
from app.pushes.targets import CONFIRMATIONS, callbacks_of
from app.pushes.topic import request_of
from app.settings.tree import Settings

CONFIRMATION = JsonBody(Confirmation, "Not a confirmation")
MOST_RUNS = 1_000
PUSH = Query("push", "Runs of the push with this name alone")


class ServedPushes(Protocol):
    """What the HTTP side needs of a process."""

    settings: Settings
    warnings: Warnings
    keys: KeyRing
    definitions: DefinitionTopics
    pushes: Feed[Pushes]

    @property
    def crashed(self) -> BaseException | None: ...
    @property
    def leads(self) -> bool: ...
    def not_ready(self) -> list[str]: ...
    def known_runs(self) -> Ledger: ...
    async def ask(self, request: Request) -> None: ...


class PushServer:
    """The HTTP side of one process."""

    def __init__(self, service: ServedPushes) -> None:
        self._service = service
        self._body = DefinitionBody("push", load_pushes)
        registry = CollectorRegistry()
        registry.register(PushCollector(service.pushes.registry, service.known_runs, lambda: service.leads))
        registry.register(WarningsCollector(service.warnings))
        health = Health(
            lambda: service.crashed is None, service.not_ready, self._readiness, registry, service.warnings
        )
        self._base = HttpBase(
            "pushes",
            service.settings.pushes,
            service.keys,
            health,
            self._routes(),
            certificate=certificate_of(service.settings.http, service.warnings),
            limits=rate_limits_of(service.settings.http),
        )

    def _routes(self) -> list[Route]:
        scope: Scope = "destinations"
        every, one = "/v1/pushes", "/v1/pushes/{name:[^/]+}"
        runs, run = "/v1/push-runs", "/v1/push-runs/{run:[^/]+}"
        query = (PROJECT,)
        return [
            Route("GET", every, self._pushes, scope, "Pushes of a project, their last runs", query=query),
            _asks(one + ":run", self._run, "Run it now, once"),
            Route(
                "GET",
                one,
                self._push,
                scope,
                "One of them",
                query=query,
                problems=(404,),
                answer_headers=(ETAG,),
            ),
            *changing_routes(one, self._put, self._delete, query, delete_is="Delete it; its history stays"),
            Route("GET", runs, self._runs, scope, "Runs, the latest first", query=(PROJECT, PUSH)),
            _asks(run + ":repush", self._repush, "Push once more what a run pushed"),
            _asks(run + ":cancel", self._cancel, "End a run that isn't over"),
            _asks(run + ":confirm", self._confirm, "Its reader has the list", CONFIRMATION),
            Route("GET", run, self._one_run, scope, "One run", query=query, problems=(404,)),
            Route(
                "POST",
                CONFIRMATIONS + "/{run:[^/]+}/{list:[^/]+}",
                self._confirm_by_token,
                None,
                "A module has the list: `Authorization: Bearer` with the token of its notification",
                statuses=(202,),
                problems=(401, 409),
            ),
        ]

    @property
    def url(self) -> str:
        return self._base.url

    async def start(self) -> None:
        """Raises CommandFailed when it can't listen."""
        await self._base.start()

    async def stop(self) -> None:
        await self._base.stop()
        self._body.close()

    def _readiness(self) -> PushReadiness:
        service = self._service
        reasons = service.not_ready()
        return PushReadiness(
            ready=not reasons,
            reasons=reasons,
            warnings=shown_warnings(service.warnings),
            leads=service.leads,
        )

    # -- definitions -----------------------------------------------------------------------------------

    async def _pushes(self, request: web.Request) -> Json[PushStatuses]:
        project, ledger, at_ms = project_of(request), self._service.known_runs(), now_ms()
        found = [
            push_status(each, ledger, at_ms)
            for each in self._service.pushes.registry.live()
            if each.definition.project == project
        ]
        return Json(PushStatuses(found))

    async def _push(self, request: web.Request) -> Json[PushStatus]:
        found = self._found(request)
        return with_etag(Json(push_status(found, self._service.known_runs(), now_ms())), found.version)

    async def _put(self, request: web.Request) -> Json[PublishedVersion]:
        caller, expected = request[CALLER], versions_of(request, IF_MATCH_MAY)
        wanted = await self._body.read(request, project_of(request))
        author, topics = Author(caller.name, "http"), self._service.definitions
        with refusals():
            changes = await publish_pushes(
                topics, lambda checks: checks.check_one(wanted), author, partial(usable, caller), expected
            )
        return await published_version(self._service.pushes, changes)

    async def _delete(self, request: web.Request) -> web.Response:
        expected = versions_of(request, IF_MATCH_MAY)
        author, topics = Author(request[CALLER].name, "http"), self._service.definitions
        with refusals():
            name = request.match_info["name"]
            changes = await delete_push(topics, project_of(request), name, author, expected)
        await seen(self._service.pushes, changes)
        return web.Response(status=204)

    def _found(self, request: web.Request) -> PublishedPush:
        with refusals():
            return present(self._service.pushes.registry, request.match_info["name"], project_of(request))

    # -- runs ------------------------------------------------------------------------------------------

    async def _run(self, request: web.Request) -> Json[AskedRun]:
        found = self._found(request)
        push = found.definition
        asked = request_of("run", push.project, push.name, by=request[CALLER].name, version=found.version)
        await self._ask(asked)
        return Json(AskedRun(run_id(push.project, push.name, found.generation, asked.id)), 202)

    async def _runs(self, request: web.Request) -> Json[RunStatuses]:
        project, name = project_of(request), PUSH.of(request)
        found = [
            each
            for each in reversed(self._service.known_runs().runs)
            if each.project == project and name in (None, each.push)
        ]
        return Json(RunStatuses([run_status(each) for each in found[:MOST_RUNS]]))

    async def _one_run(self, request: web.Request) -> Json[RunStatus]:
        return Json(run_status(self._found_run(request)))

    async def _repush(self, request: web.Request) -> Json[AskedRun]:
        run = self._found_run(request)
        if not run.is_done:
            raise HttpProblem(409, "Not over", f"run {run.id} isn't over: it is {run.state}")
        asked = await self._asked(request, "repush", run)
        return Json(AskedRun(run_id(run.project, run.push, run.generation, asked.id)), 202)

    async def _cancel(self, request: web.Request) -> Json[AskedRun]:
        run = self._found_run(request)
        if run.is_done:
            raise HttpProblem(409, "Over", f"run {run.id} is over: it is {run.state}")
        await self._asked(request, "cancel", run)
        return Json(AskedRun(run.id), 202)

    async def _confirm(self, request: web.Request) -> Json[AskedRun]:
        run, confirmation = self._found_run(request), await CONFIRMATION.decoded(request)
        await self._confirmed(run, confirmation.list, request[CALLER].name)
        return Json(AskedRun(run.id), 202)

    async def _confirm_by_token(self, request: web.Request) -> Json[AskedRun]:
        callbacks = callbacks_of(self._service.settings.pushes)
        name, of_list = request.match_info["run"], request.match_info["list"]
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if (
            callbacks is None
            or kind != "Bearer"
            or not is_confirmation(callbacks.secret, name, of_list, token)
        ):
            raise HttpProblem(401, "Not allowed", "the token is not the one of this list")
        run = self._service.known_runs().find(name)
        if run is None:
            raise HttpProblem(409, "Not delivered", f"run {name} is no longer known")
        await self._confirmed(run, of_list, "module")
        return Json(AskedRun(run.id), 202)

    async def _confirmed(self, run: Run, of_list: str, by: str) -> None:
        """Have it noted. A reader may be faster than the note that its list was delivered."""
        if run.list_id != of_list or run.state not in ("delivering", "delivered", "confirmed"):
            detail = f"run {run.id} is {run.state}, with the list {run.list_id or 'none'}"
            raise HttpProblem(409, "Not delivered", detail)
        if run.state != "confirmed":
            await self._ask(request_of("confirm", run.project, run.push, run.id, by, list=of_list))

    def _found_run(self, request: web.Request) -> Run:
        project, name = project_of(request), request.match_info["run"]
        found = self._service.known_runs().find(name)
        if found is None or found.project != project:
            raise HttpProblem(404, "No such run", f"project {project} has no run {name!r}")
        return found

    async def _asked(self, request: web.Request, action: Asked, run: Run) -> Request:
        asked = request_of(action, run.project, run.push, run.id, request[CALLER].name)
        await self._ask(asked)
        return asked

    async def _ask(self, asked: Request) -> None:
        try:
            await self._service.ask(asked)
        except KafkaError as error:
            raise HttpProblem(503, "Not available now", f"Kafka did not take it: {error!r}") from None


def _asks(path: str, handler: Handler, summary: str, body: Body | None = None) -> Route:
    """A route by which somebody asks whoever leads for something."""
    return Route(
        "POST",
        path,
        handler,
        "destinations",
        summary,
        query=(PROJECT,),
        body=body,
        statuses=(202,),
        problems=(404, 409),
    )
