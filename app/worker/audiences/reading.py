"""Requests that read definitions: from what this worker follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from agents.registry.api_keys import Scope
from app.http.answers import Json
from app.http.if_match import ETAG
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Route
from app.worker.audiences.answers import (
    AudienceShown,
    AudiencesShown,
    Validation,
    VersionShown,
    VersionsShown,
    version_shown,
)
from app.worker.audiences.definitions import DEFINITION, Definitions
from app.worker.audiences.paths import AUDIENCES, ONE, VERSION, version_in
from app.worker.audiences.shown import Known

Sizes = Callable[[web.Request, str], Awaitable[Mapping[str, int]]]
"""How many members the audiences of a project have, by id: of those of which it is known now."""


class ReadRoutes:
    """The published audiences of a project, one of them, its versions, and what is wrong with definitions."""

    def __init__(self, known: Known, definitions: Definitions, sizes: Sizes) -> None:
        self._known = known
        self._definitions = definitions
        self._sizes = sizes

    def routes(self) -> list[Route]:
        scope: Scope = "audiences"
        query = (PROJECT,)
        there = (404,)
        listed = "The published audiences of a project"
        versions, version = "Who published what and when", "One version, with its definition"
        checked = "What is wrong with definitions beside those that are published, and warnings"
        return [
            Route("GET", AUDIENCES, self._list, scope, listed, query=query),
            Route(
                "GET",
                ONE,
                self._get,
                scope,
                "One audience",
                query=query,
                problems=there,
                answer_headers=(ETAG,),
            ),
            Route("GET", ONE + "/versions", self._versions, scope, versions, query=query, problems=there),
            Route("GET", VERSION, self._version, scope, version, query=query, problems=there),
            Route(
                "POST", AUDIENCES + ":validate", self._validate, scope, checked, query=query, body=DEFINITION
            ),
        ]

    async def _list(self, request: web.Request) -> Json[AudiencesShown]:
        project = project_of(request)
        sizes = await self._sizes(request, project)
        found = [
            self._known.shown(each, sizes.get(each.audience.id))
            for _, each in sorted(self._known.feed.published.items())
            if each.audience.project == project and not each.deleted
        ]
        return Json(AudiencesShown(project, found))

    async def _get(self, request: web.Request) -> Json[AudienceShown]:
        project, name = project_of(request), request.match_info["audience"]
        published = self._known.present(project, name)
        return self._known.answer(published, size=(await self._sizes(request, project)).get(name))

    async def _versions(self, request: web.Request) -> Json[VersionsShown]:
        project, name = project_of(request), request.match_info["audience"]
        versions = self._known.all_versions(project, name)
        released = self._known.feed.registry.released
        shown = [version_shown(versions[each], released, whole=False) for each in sorted(versions)[::-1]]
        return Json(VersionsShown(name, project, shown))

    async def _version(self, request: web.Request) -> Json[VersionShown]:
        project, name = project_of(request), request.match_info["audience"]
        versions, version = self._known.all_versions(project, name), version_in(request)
        if version not in versions:
            hint = f"there are: {', '.join(map(str, sorted(versions)))}"
            text = f"audience {name!r} has no version {version}"
            raise HttpProblem(404, "No such version", text, hint=hint)
        return Json(version_shown(versions[version], self._known.feed.registry.released, whole=True))

    async def _validate(self, request: web.Request) -> Json[Validation]:
        project = project_of(request)
        published = {
            key: each for key, each in self._known.feed.published.items() if each.audience.project == project
        }
        return Json(await self._definitions.validation(await DEFINITION.read(request), published))
