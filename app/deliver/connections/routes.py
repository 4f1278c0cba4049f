"""Connections over HTTP: read, published, deleted.

The scope ``destinations`` lets a key see those that it may use. Changes take the scope ``admin``, or a key
that the connection names (``administer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from agents.connections.permitted import connection_refusals
from agents.connections.published import Connections, PublishedConnection
from agents.registry.api_keys import EVERY_PROJECT, Scope
from agents.registry.unusable import shown_key
from app.deliver.connections.answers import ConnectionShown, ConnectionsShown, connection_shown
from app.deliver.connections.trial import (
    TEST_SECONDS,
    ConnectionTest,
    ConnectionTestResult,
    try_connection,
)
from app.deliver.served import Deliveries
from app.http.answers import Json
from app.http.base import CALLER
from app.http.if_match import ETAG, IF_MATCH, IF_MATCH_MAY, not_given, versions_of
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import JsonBody, Route
from app.publish.author import Author
from app.publish.named.answered import (
    DefinitionBody,
    PublishedVersion,
    changing_routes,
    published_version,
    seen,
    with_etag,
)
from app.publish.named.changes import present
from app.publish.named.connections import delete_connections, publish_connections, references
from app.publish.named.rights import administers, require_administrator, sees
from app.publish.permitted import secrets_of
from app.publish.problems import refusals
from app.publish.refused import NotPermitted

CONNECTIONS: Final = "/v1/connections"
ONE: Final = CONNECTIONS + "/{name:[^/:]+}"
TEST: Final = JsonBody(ConnectionTest, "Not a test of a connection")


class ConnectionRoutes:
    """The connections that a delivery worker knows."""

    def __init__(self, service: Deliveries) -> None:
        self._service = service
        self._body = DefinitionBody("connection", load_connections)

    def routes(self) -> list[Route]:
        scope: Scope = "destinations"
        tried = "Connect once; says what is wrong, without secrets"
        listed = "Connections that the key may use or administer"
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
            *changing_routes(
                ONE,
                self._put,
                self._delete,
                (PROJECT,),
                put_is="Publish a connection, YAML or JSON; takes If-Match where it exists; 422 with every "
                "error found",
                put_problems=(409, 412, 422, 428),
                delete_is="Delete it; takes If-Match. 409 as long as something uses it",
                delete_problems=(404, 409, 412, 428),
                deletes_if=IF_MATCH,
            ),
        ]

    async def _test(self, request: web.Request) -> Json[ConnectionTestResult]:
        published, wanted = self.found(request), await TEST.decoded(request)
        require_administrator(request[CALLER], published.definition)
        service = self._service
        return Json(
            await try_connection(service.settings, published.definition, wanted, service.keys.digests)
        )

    def close(self) -> None:
        self._body.close()

    # -- reading -------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> Json[ConnectionsShown]:
        caller, registry = request[CALLER], self._service.connections.registry
        seen = [
            each
            for _, each in sorted(registry.published.items())
            if not each.deleted and sees(caller, each.definition)
        ]
        shown = await self._shown(request, seen)
        # Nobody knows what one that can't be read says of who may see it.
        unreadable = registry.unusable if caller.covers(EVERY_PROJECT) else {}
        told = {shown_key(key): each.reason for key, each in unreadable.items()}
        return Json(ConnectionsShown(shown, told))

    async def _show(self, request: web.Request) -> Json[ConnectionShown]:
        published = self.found(request)
        (shown,) = await self._shown(request, [published])
        return with_etag(Json(shown), published.version)

    async def _shown(
        self, request: web.Request, published: Sequence[PublishedConnection]
    ) -> list[ConnectionShown]:
        """What uses one is for those who administer it."""
        whole = [each.definition for each in published if administers(request[CALLER], each.definition)]
        with refusals():
            used_by = await references(self._service.definitions, whole) if whole else {}
        return [connection_shown(each, used_by.get(each.definition.key)) for each in published]

    def found(self, request: web.Request) -> PublishedConnection:
        """The one that the path names. Raises HttpProblem: 404, also where the caller may not see it."""
        with refusals():
            return _found(self._service.connections.registry, request)

    # -- changing ------------------------------------------------------------------------------------

    async def _put(self, request: web.Request) -> Json[PublishedVersion]:
        project, caller = project_of(request), request[CALLER]
        wanted = await self._body.read(request, project)
        secrets = secrets_of(self._service.settings, project=project)

        def check(registry: Connections) -> frozenset[int] | None:
            before = registry.find(wanted.key)
            if before is None:
                caller.require("admin")
            else:
                require_administrator(caller, before.definition)
                if not IF_MATCH_MAY.of(request):
                    raise not_given()
                if "admin" not in caller.scopes:
                    _require_same_rights(before.definition, wanted)
            if refused := connection_refusals(wanted, secrets):
                raise NotPermitted([("", each) for each in refused], "Not a connection")
            return versions_of(request, IF_MATCH_MAY)

        with refusals():
            author, topics = Author(caller.name, "http"), self._service.definitions
            changes = await publish_connections(topics, [wanted], author, check)
        return await published_version(self._service.connections, changes)

    async def _delete(self, request: web.Request) -> web.Response:
        caller, expected = request[CALLER], versions_of(request, IF_MATCH)

        def choose(registry: Connections) -> list[PublishedConnection]:
            found = _found(registry, request)
            require_administrator(caller, found.definition)
            return [found]

        with refusals():
            author, topics = Author(caller.name, "http"), self._service.definitions
            changes = await delete_connections(topics, choose, author, expected)
        await seen(self._service.connections, changes)
        return web.Response(status=204)


def _found(registry: Connections, request: web.Request) -> PublishedConnection:
    """Raises NotPublished, also where the caller may not see it."""
    caller = request[CALLER]
    return present(registry, request.match_info["name"], project_of(request), lambda each: sees(caller, each))


def _require_same_rights(before: Connection, wanted: Connection) -> None:
    """A key without ``admin`` may not say who else may administer. Raises HttpProblem."""
    if before.administer != wanted.administer:
        raise HttpProblem(403, "Not allowed", "to change 'administer' takes the scope 'admin'")
