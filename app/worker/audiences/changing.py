"""Requests that change definitions: each goes through ``app.publish.lifecycle`` and is answered when this
worker has read the change, too."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from agents.registry.api_keys import Scope
from agents.registry.audiences import AudienceChange
from app.http.answers import Json
from app.http.base import CALLER
from app.http.if_match import ETAG, IF_MATCH, IF_MATCH_MAY, versions_of
from app.http.problems import Handler, HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Body, Header, Route
from app.publish.ask import ANY_VERSION, Expected
from app.publish.author import Author
from app.publish.lifecycle import Lifecycle
from app.publish.problems import refusals
from app.worker.audiences.answers import AudienceShown
from app.worker.audiences.definitions import DEFINITION, Definitions
from app.worker.audiences.paths import AUDIENCES, ONE, VERSION, version_in
from app.worker.audiences.shown import Known
from rules.parse.audience import ParsedAudience

CHANGE_SECONDS = 45.0


class ChangeRoutes:
    """Create, edit, delete, restore, rebuild, release and take back."""

    def __init__(self, known: Known, definitions: Definitions, lifecycle: Lifecycle) -> None:
        self._known = known
        self._definitions = definitions
        self._lifecycle = lifecycle

    def routes(self) -> list[Route]:
        created = "Publish a new audience, YAML or JSON; 422 with every error found"
        edited = "Publish another definition of an audience; takes If-Match"
        deleted = "Delete an audience; takes If-Match. Its members leave it"
        restored = "Publish the definition of a version once more, as a new version"
        taken_back, may = "Go back from a version that is held", IF_MATCH_MAY
        again, let, back = (404, 412, 422), (404, 409, 412), (404, 409, 412, 422)
        return [
            _route("POST", AUDIENCES, self._create, created, (409, 422), None, DEFINITION, 201),
            _route("PUT", ONE, self._edit, edited, (404, 412, 422, 428), IF_MATCH, DEFINITION),
            _route("DELETE", ONE, self._delete, deleted, (404, 409, 412, 428), IF_MATCH, status=204),
            _route("POST", VERSION + ":restore", self._restore, restored, again, may),
            _route("POST", ONE + ":rebuild", self._rebuild, "Compute it anew from the history", again, may),
            _route("POST", ONE + ":release", self._release, "Let a version that is held take over", let, may),
            _route("POST", ONE + ":take-back", self._take_back, taken_back, back, may),
        ]

    async def _create(self, request: web.Request) -> Json[AudienceShown]:
        wanted = await self._wanted(request)
        with refusals():
            changes = await self._lifecycle.apply(_author(request), [wanted], only_new=True)
        answer = await self._answer_change(changes, 201)
        answer.headers["Location"] = f"{AUDIENCES}/{wanted.audience.id}"
        return answer

    async def _edit(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        expected = _expected(request, IF_MATCH, project, name)
        wanted = await self._wanted(request)
        if wanted.audience.id != name:
            detail = f"the definition's id is {wanted.audience.id!r}, the path's {name!r}"
            raise HttpProblem(422, "Not a definition", detail)
        with refusals():
            changes = await self._lifecycle.edit(_author(request), wanted, expected)
        return await self._answer_change(changes)

    async def _delete(self, request: web.Request) -> web.Response:
        project, name = project_of(request), request.match_info["audience"]
        expected = _expected(request, IF_MATCH, project, name)
        with refusals():
            changes = await self._lifecycle.delete(_author(request), project, [name], expected)
        await self._known.seen(changes[-1].audience.project, name, changes[-1].version)
        return web.Response(status=204)

    async def _restore(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        expected, version = _expected(request, IF_MATCH_MAY, project, name), version_in(request)
        with refusals():
            changes = await self._lifecycle.restore(_author(request), project, name, version, expected)
        return await self._answer_change(changes)

    async def _rebuild(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        expected = _expected(request, IF_MATCH_MAY, project, name)
        with refusals():
            changes = await self._lifecycle.rebuild(_author(request), project, [name], expected)
        return await self._answer_change(changes)

    async def _release(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        expected = _expected(request, IF_MATCH_MAY, project, name)
        with refusals():
            version = await self._lifecycle.release(_author(request), project, name, expected)
        return self._known.answer(await self._known.seen(project, name, version))

    async def _take_back(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        expected = _expected(request, IF_MATCH_MAY, project, name)
        with refusals():
            changes = await self._lifecycle.take_back(_author(request), project, name, expected)
        return await self._answer_change(changes)

    async def _wanted(self, request: web.Request) -> ParsedAudience:
        """The definition in the body. Raises HttpProblem when it is of another project than was asked for."""
        project = project_of(request)
        wanted = await self._definitions.one(await DEFINITION.read(request))
        if wanted.audience.project != project:
            detail = f"the definition's project is {wanted.audience.project!r}, the query's {project!r}"
            raise HttpProblem(422, "Not a definition", detail)
        return wanted

    async def _answer_change(
        self, changes: Sequence[AudienceChange], status: int = 200
    ) -> Json[AudienceShown]:
        change = changes[-1]
        found = await self._known.seen(change.audience.project, change.audience.id, change.version)
        return self._known.answer(found, status)


def _route(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    problems: tuple[int, ...],
    header: Header | None = None,
    body: Body | None = None,
    status: int = 200,
) -> Route:
    scope: Scope = "audiences"
    return Route(
        method,
        path,
        handler,
        scope,
        summary,
        CHANGE_SECONDS,
        (PROJECT,),
        body,
        (status,),
        problems,
        headers=() if header is None else (header,),
        answer_headers=(ETAG,),
    )


def _author(request: web.Request) -> Author:
    return Author(request[CALLER].name, "http")


def _expected(request: web.Request, header: Header, project: str, name: str) -> Expected:
    """What ``If-Match`` asks for. Raises HttpProblem."""
    versions = versions_of(request, header)
    return ANY_VERSION if versions is None else {f"{project}/{name}".encode(): versions}
