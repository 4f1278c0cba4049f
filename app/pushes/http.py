"""HTTP on a process of pushes: definitions, runs, health, metrics.

All of it takes the scope ``destinations``, and a key sees and changes its own projects' only. Any process
answers, whichever leads: what is asked for goes through the ledger. Errors are problem+json.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from aiohttp import web

from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import PublishedPush, Pushes
from agents.pushes.runs import Ledger, Request, run_id
from agents.registry.api_keys import Scope
from agents.registry.feed import Feed
from app.http.answers import Json
from app.http.base import CALLER
from app.http.if_match import ETAG, IF_MATCH_MAY, versions_of
from app.http.process import Process, http_of
from app.http.projects import PROJECT, project_of
from app.http.routes import Route
from app.http.warnings import shown_warnings
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
    PushReadiness,
    PushStatus,
    PushStatuses,
    push_status,
)
from app.pushes.http_runs import RunRoutes, asks
from app.pushes.metrics import PushCollector
from app.pushes.topic import request_of


class ServedPushes(Process, Protocol):
    """What the HTTP side needs of a process."""

    definitions: DefinitionTopics
    pushes: Feed[Pushes]

    @property
    def leads(self) -> bool: ...
    def not_ready(self) -> list[str]: ...
    def known_runs(self) -> Ledger: ...
    async def ask(self, request: Request) -> None: ...


class PushServer:
    """The HTTP side of one process."""

    def __init__(self, service: ServedPushes) -> None:
        self._service = service
        self._runs = RunRoutes(service)
        self._body = DefinitionBody("push", load_pushes)
        self._base = http_of(
            service,
            "pushes",
            service.settings.pushes,
            self._routes(),
            PushCollector(service.pushes.registry, service.known_runs, lambda: service.leads),
            self._readiness,
            service.not_ready,
        )

    def _routes(self) -> list[Route]:
        scope: Scope = "destinations"
        every, one = "/v1/pushes", "/v1/pushes/{name:[^/]+}"
        query = (PROJECT,)
        return [
            Route("GET", every, self._pushes, scope, "Pushes of a project, their last runs", query=query),
            asks(one + ":run", self._run, "Run it now, once"),
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
            *self._runs.routes(),
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
        await self._runs.ask(asked)
        return Json(AskedRun(run_id(push.project, push.name, found.generation, asked.id)), 202)
