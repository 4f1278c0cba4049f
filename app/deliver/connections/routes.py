"""Connections over HTTP: read, published, deleted.

The scope ``destinations`` lets a key see those that it may use. Changes take the scope ``admin``, or a key
that the connection names (``administer``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web
from aiokafka.errors import KafkaError

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from agents.connections.permitted import connection_refusals
from agents.connections.published import PublishedConnection, PublishedConnections
from agents.connections.uses import Naming, broken_by, naming_of, references_to
from agents.deliver.definitions.destination import Destination
from agents.registry.api_keys import EVERY_PROJECT, Scope
from agents.registry.audit import Action
from agents.registry.unusable import shown_key
from app.deliver.answers import PublishedVersion
from app.deliver.connections.answers import ConnectionShown, ConnectionsShown, connection_shown
from app.deliver.connections.trial import (
    TEST_SECONDS,
    ConnectionTest,
    ConnectionTestResult,
    try_connection,
)
from app.deliver.served import Deliveries
from app.http.answers import Json, ProblemError
from app.http.base import CALLER
from app.http.if_match import ETAG, IF_MATCH, IF_MATCH_MAY, etag, versions_of
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Body, Header, JsonBody, Route
from app.publish.author import Author
from app.publish.connection_rights import administers, require_administrator, sees
from app.publish.connections import deleted, plan_connections
from app.publish.permitted import secrets_of
from rules.parse.problems import DefinitionsInvalid, name_hint

CONNECTIONS: Final = "/v1/connections"
ONE: Final = CONNECTIONS + "/{name:[^/:]+}"
CHANGE_SECONDS: Final = 45.0
DEFINITION: Final = Body("application/json", "application/yaml", most_bytes=128 * 1024)
TEST: Final = JsonBody(ConnectionTest, "Not a test of a connection")
NOT_ONE: Final = "Not a connection"


class ConnectionRoutes:
    """The connections that a delivery worker knows."""

    def __init__(self, service: Deliveries) -> None:
        self._service = service
        self._parsing = ThreadPoolExecutor(1, "connections")  # some YAML takes long to read
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        scope: Scope = "destinations"
        tried = "Connect once; says what is wrong, without secrets"
        listed = "Connections that the key may use or administer"
        put = "Publish a connection, YAML or JSON; takes If-Match where it exists; 422 with every error found"
        return [
            Route("GET", CONNECTIONS, self._list, scope, listed),
            Route(
                "POST",
                ONE + ":test",
                self._test,
                scope,
                tried,
                TEST_SECONDS + 5.0,
                (PROJECT,),
                TEST,
                problems=(404,),
            ),
            Route(
                "GET",
                ONE,
                self._show,
                scope,
                "One of them",
                query=(PROJECT,),
                problems=(404,),
                answer_headers=(ETAG,),
            ),
            Route(
                "PUT",
                ONE,
                self._put,
                scope,
                put,
                CHANGE_SECONDS,
                (PROJECT,),
                DEFINITION,
                (200, 201),
                (409, 412, 422, 428),
                headers=(IF_MATCH_MAY,),
                answer_headers=(ETAG,),
            ),
            Route(
                "DELETE",
                ONE,
                self._delete,
                scope,
                "Delete it; takes If-Match. 409 as long as something uses it",
                CHANGE_SECONDS,
                (PROJECT,),
                None,
                (204,),
                (404, 409, 412, 428),
                headers=(IF_MATCH,),
            ),
        ]

    async def _test(self, request: web.Request) -> Json[ConnectionTestResult]:
        published, wanted = self.found(request), await TEST.decoded(request)
        require_administrator(request[CALLER], published.connection)
        service = self._service
        return Json(
            await try_connection(service.settings, published.connection, wanted, service.keys.digests)
        )

    def close(self) -> None:
        self._parsing.shutdown(wait=False, cancel_futures=True)

    # -- reading -------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> Json[ConnectionsShown]:
        caller, registry = request[CALLER], self._service.connections.registry
        seen = [
            each
            for _, each in sorted(registry.published.items())
            if not each.deleted and sees(caller, each.connection)
        ]
        shown = await self._shown(request, seen)
        # Nobody knows what one that can't be read says of who may see it.
        unreadable = registry.unusable if caller.covers(EVERY_PROJECT) else {}
        told = {shown_key(key): each.reason for key, each in unreadable.items()}
        return Json(ConnectionsShown(shown, told))

    async def _show(self, request: web.Request) -> Json[ConnectionShown]:
        published = self.found(request)
        (shown,) = await self._shown(request, [published])
        answer = Json(shown)
        answer.headers["ETag"] = etag(published.version)
        return answer

    async def _shown(
        self, request: web.Request, published: Sequence[PublishedConnection]
    ) -> list[ConnectionShown]:
        """What uses one is for those who administer it."""
        whole = [administers(request[CALLER], each.connection) for each in published]
        namings = await self._namings() if any(whole) else []
        return [
            connection_shown(each, references_to(each.connection, namings) if is_whole else None)
            for each, is_whole in zip(published, whole, strict=True)
        ]

    def found(self, request: web.Request) -> PublishedConnection:
        """The one that the path names. Raises HttpProblem: 404, also where the caller may not see it."""
        name, project, caller = request.match_info["name"], project_of(request), request[CALLER]
        there = {
            each.connection.name: each
            for each in self._published.values()
            if each.connection.project == project and not each.deleted and sees(caller, each.connection)
        }
        if name in there:
            return there[name]
        hint = name_hint(name, there) if there else ""
        detail = f"project {project!r} has no connection {name!r}"
        raise HttpProblem(404, "No such connection", detail, hint=hint)

    # -- changing ------------------------------------------------------------------------------------

    async def _put(self, request: web.Request) -> Json[PublishedVersion]:
        name, project, body = request.match_info["name"], project_of(request), await DEFINITION.read(request)
        wanted = await asyncio.get_running_loop().run_in_executor(self._parsing, _parsed, name, body)
        if (wanted.project, wanted.name) != (project, name):
            detail = f"the definition is of {wanted.id!r}, the request of '{project}/{name}'"
            raise HttpProblem(422, NOT_ONE, detail)
        caller, registry = request[CALLER], self._service.connections.registry
        async with self._turn:
            before = registry.published.get(wanted.id)
            if before is not None and not before.deleted:
                require_administrator(caller, before.connection)
                _require_version(request, IF_MATCH_MAY, before)
            else:
                caller.require("admin")
                _require_version(request, IF_MATCH_MAY, None)
            if "admin" not in caller.scopes and before is not None:
                _require_same_rights(before.connection, wanted)
            secrets = secrets_of(self._service.settings, project=project)
            refused = connection_refusals(wanted, secrets)
            if refused:
                errors = [ProblemError("not_permitted", "", each, "") for each in refused]
                raise HttpProblem(422, NOT_ONE, "\n".join(refused), errors=errors)
            broken = broken_by(wanted, registry.published, self._destinations(), await self._pushes())
            _refuse(list(broken), "Connection is used")
            (change,) = plan_connections(registry.published, [wanted], registry.unusable_versions)
            if change.action != "unchanged":
                await self._publish(request, change.published, change.action)
        told = PublishedVersion(name, change.action, change.published.version)
        answer = Json(told, 201 if change.action == "created" else 200)
        answer.headers["ETag"] = etag(change.published.version)
        return answer

    async def _delete(self, request: web.Request) -> web.Response:
        async with self._turn:
            before = self.found(request)
            require_administrator(request[CALLER], before.connection)
            _require_version(request, IF_MATCH, before)
            used_by = references_to(before.connection, await self._namings())
            _refuse([f"{each} uses it" for each in used_by], "Connection is still used")
            await self._publish(request, deleted(before), "deleted")
        return web.Response(status=204)

    async def _publish(self, request: web.Request, published: PublishedConnection, action: Action) -> None:
        try:
            author = Author(request[CALLER].name, "http")
            await self._service.publish_connection(published, action, author)
        except KafkaError as error:
            raise HttpProblem(503, "Not available now", f"Kafka did not take it: {error!r}") from None

    # -- what is published ---------------------------------------------------------------------------

    @property
    def _published(self) -> PublishedConnections:
        return self._service.connections.registry.published

    def _destinations(self) -> Sequence[Destination]:
        return [each.destination for each in self._service.feed.published.values() if not each.deleted]

    async def _namings(self) -> list[Naming]:
        """What all published definitions name. Raises HttpProblem."""
        return [*map(naming_of, self._destinations()), *await self._pushes()]

    async def _pushes(self) -> Sequence[Naming]:
        try:
            return await self._service.pushes()
        except KafkaError as error:
            detail = f"what pushes use can't be read: {error!r}"
            raise HttpProblem(503, "Not available now", detail) from None


def _require_version(request: web.Request, header: Header, before: PublishedConnection | None) -> None:
    """Raises HttpProblem: 428 without ``If-Match`` where there is one, 412 where there is another version."""
    if before is not None and not header.of(request):
        raise HttpProblem(
            428,
            "If-Match is needed",
            "the connection exists: say which version is to be changed, so that nobody else's change is lost",
            hint='send the ETag that was read as If-Match, such as "3"; * takes any version',
        )
    expected = versions_of(request, header)
    if expected is None or (before is not None and before.version in expected):
        return
    told = "there is none now" if before is None else f"version {before.version} is there now"
    problem = HttpProblem(412, "Version has changed", told)
    if before is not None:
        problem.headers["ETag"] = etag(before.version)
    raise problem


def _require_same_rights(before: Connection, wanted: Connection) -> None:
    """A key without ``admin`` may not say who else may administer. Raises HttpProblem."""
    if before.administer != wanted.administer:
        raise HttpProblem(403, "Not allowed", "to change 'administer' takes the scope 'admin'")


def _refuse(faults: list[str], title: str) -> None:
    """Raises HttpProblem where there are any."""
    if faults:
        errors = [ProblemError("in_use", "", each, "") for each in faults]
        raise HttpProblem(409, title, "\n".join(faults), errors=errors)


def _parsed(name: str, body: bytes) -> Connection:
    """The one definition in a body. Raises HttpProblem with every error found."""
    try:
        (connection,) = load_connections([(f"{name}.yaml", body.decode())])
    except DefinitionsInvalid as invalid:
        errors = [ProblemError(each.code, each.path, each.message, each.hint) for each in invalid.problems]
        raise HttpProblem(422, NOT_ONE, str(invalid), errors=errors) from None
    except (ValueError, RecursionError):
        raise HttpProblem(422, NOT_ONE, "the body must be one definition, UTF-8") from None
    return connection
