"""HTTP on a delivery worker: destinations with their status, test sends, replays, health, metrics.

All of it takes the scope ``destinations``, and a key sees and changes its own projects' only, because
definitions hold customers' URLs. Errors are problem+json as on the worker (``app.http.problems``).
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiokafka.errors import KafkaError

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import Destinations, PublishedDestination
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.permissions import permitted
from agents.deliver.permissions.audiences import audience_refusals
from agents.registry.api_keys import EVERY_PROJECT, Scope
from agents.registry.writer import Change
from app.deliver.answers import (
    DeliverReadiness,
    DestinationStatus,
    DestinationStatuses,
    status_of,
)
from app.deliver.connections.routes import ConnectionRoutes
from app.deliver.connections.using import shown_to, usable_by
from app.deliver.destination import Running
from app.deliver.metrics import DeliveryCollector
from app.deliver.replay import Replayed, replay
from app.deliver.served import Deliveries
from app.deliver.trial import TestSend, TestSendResult, send_test
from app.http.answers import Json
from app.http.base import CALLER
from app.http.if_match import ETAG, IF_MATCH_MAY, versions_of
from app.http.problems import HttpProblem
from app.http.process import http_of
from app.http.routes import JsonBody, Route
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
from app.publish.named.changes import Changes, deletion, present, publication
from app.publish.permitted import own_topics_of, secrets_of
from app.publish.problems import refusals
from app.publish.refused import NotPermitted
from rules.parse.problems import name_hint

TEST_SECONDS = 60.0
REPLAY_SECONDS = 330.0
TEST = JsonBody(TestSend, "Not a test send")


class DeliverServer:
    """The HTTP side of one delivery worker."""

    def __init__(self, service: Deliveries) -> None:
        self._service = service
        self._replays: dict[str, asyncio.Task[Replayed]] = {}
        self._body = DefinitionBody("destination", load_destinations)
        self._connections = ConnectionRoutes(service)
        self._base = http_of(
            service,
            "deliver",
            service.settings.deliver,
            self._routes(),
            DeliveryCollector(service),
            self._readiness,
            self._not_ready,
        )

    def _routes(self) -> list[Route]:
        scope: Scope = "destinations"
        all_of_them, one = "/v1/destinations", "/v1/destinations/{name:[^/]+}"
        listed = "Destinations of the key's projects, with status and definition"
        tried = "Send one made-up transition; the request and its answer, secrets masked"
        return [
            *self._connections.routes(),
            Route("GET", all_of_them, self._destinations, scope, listed),
            Route("POST", one + ":test", self._test, scope, tried, TEST_SECONDS, body=TEST, problems=(404,)),
            Route(
                "POST",
                one + ":replay",
                self._replay,
                scope,
                "Send the dead letters once more",
                REPLAY_SECONDS,
                problems=(404, 409),
            ),
            Route(
                "GET",
                one,
                self._destination,
                scope,
                "One of them",
                problems=(404,),
                answer_headers=(ETAG,),
            ),
            *changing_routes(one, self._put, self._delete),
        ]

    @property
    def url(self) -> str:
        return self._base.url

    async def start(self) -> None:
        """Raises CommandFailed when it can't listen."""
        await self._base.start()

    async def stop(self) -> None:
        for task in self._replays.values():
            task.cancel()
        await asyncio.gather(*self._replays.values(), return_exceptions=True)
        await self._base.stop()
        self._body.close()
        self._connections.close()

    # -- destinations --------------------------------------------------------------------------------

    async def _destinations(self, request: web.Request) -> Json[DestinationStatuses]:
        caller, service = request[CALLER], self._service
        found = [
            status_of(each, service.plan.transitions, service.audiences.values())
            for _, each in sorted(service.running.items())
            if caller.covers(each.published.definition.project)
        ]
        # Nobody knows of what project one is that can't be read.
        unreadable = service.feed.unreadable if caller.covers(EVERY_PROJECT) else {}
        return Json(DestinationStatuses(found, unreadable))

    async def _destination(self, request: web.Request) -> Json[DestinationStatus]:
        service, running = self._service, self._running(request)
        told = status_of(running, service.plan.transitions, service.audiences.values())
        return with_etag(Json(told), running.published.version)

    async def _put(self, request: web.Request) -> Json[PublishedVersion]:
        """Publish a definition, YAML or JSON; 422 with every error found."""
        caller, expected = request[CALLER], versions_of(request, IF_MATCH_MAY)
        destination = await self._body.read(request)
        caller.require_project(destination.project)
        settings, topics = self._service.settings, self._service.definitions

        def decide(registry: Destinations) -> Change[Changes[Destination]]:
            name = destination.name
            if name in registry.unusable_versions:  # of what project is it that can't be read?
                caller.require_every_project()
            before = registry.published.get(name)
            if before is not None and not caller.covers(before.definition.project):
                told = f"the name {name!r} is taken by a project that isn't the key's"
                raise HttpProblem(403, "Not allowed", told)
            whole = usable_by(caller, destination, topics.connections.published)
            secrets = secrets_of(settings, project=whole.secrets_project)
            refused = permitted.refusals(whole, secrets, own_topics_of(settings))
            refused += audience_refusals(destination, topics.audiences.published.values())
            if refused:
                raise NotPermitted([("", each) for each in refused], "Not a destination")
            return publication(registry, [destination], Author(caller.name, "http"), expected)

        with refusals():
            beside = (topics.connections, topics.audiences)
            changes = await topics.change(topics.destinations, decide, beside)
        return await published_version(self._service.feed, changes)

    async def _delete(self, request: web.Request) -> web.Response:
        caller, expected = request[CALLER], versions_of(request, IF_MATCH_MAY)
        topics = self._service.definitions

        def decide(registry: Destinations) -> Change[Changes[Destination]]:
            found = present(
                registry, request.match_info["name"], is_seen=lambda each: caller.covers(each.project)
            )
            return deletion(registry, [found], Author(caller.name, "http"), expected)

        with refusals():
            changes = await topics.change(topics.destinations, decide)
        await seen(self._service.feed, changes)
        return web.Response(status=204)

    async def _test(self, request: web.Request) -> Json[TestSendResult]:
        running, wanted = self._running(request), await TEST.decoded(request)
        result = await send_test(
            self._service.settings, running.published.definition, wanted, self._service.keys.digests
        )
        published = self._service.connections.registry.published
        return Json(shown_to(request[CALLER], running.published.definition, published, result))

    async def _replay(self, request: web.Request) -> Json[Replayed]:
        running = self._running(request)
        name = running.published.definition.name
        going = self._replays.get(name)
        if going is not None and not going.done():
            raise HttpProblem(409, "Replay is under way", f"dead letters of {name!r} are being sent already")
        task = asyncio.create_task(
            replay(self._service.settings, running.published, digests=self._service.keys.digests)
        )
        self._replays[name] = task
        try:
            return Json(await asyncio.shield(task))
        except (KafkaError, SinkMisconfigured, SinkUnavailable) as error:
            raise HttpProblem(503, "Not available now", str(error) or repr(error)) from None

    def _running(self, request: web.Request) -> Running:
        """The one that the path names. Raises HttpProblem: 404, also where the caller's key isn't for it."""
        name, known = request.match_info["name"], self._service.running
        seen = {each for each, running in known.items() if self._may_see(request, running.published)}
        if name in seen:
            return known[name]
        hint = name_hint(name, seen) if seen else ""
        raise HttpProblem(
            404, "No such destination", f"no destination {name!r} is delivered to here", hint=hint
        )

    def _may_see(self, request: web.Request, published: PublishedDestination) -> bool:
        return request[CALLER].covers(published.definition.project)

    # -- health --------------------------------------------------------------------------------------

    def _not_ready(self) -> list[str]:
        """Ready means that destinations are loaded; one that is dead doesn't make the others unready."""
        reasons = []
        if not self._service.feed.loaded.is_set():
            reasons.append("destinations are not loaded")
        if not self._service.keys.loaded:
            reasons.append("API keys are not read")
        return reasons

    def _readiness(self) -> DeliverReadiness:
        reasons = self._not_ready()
        return DeliverReadiness(
            ready=not reasons,
            reasons=reasons,
            warnings=shown_warnings(self._service.warnings),
            unreadable_destinations=self._service.feed.unreadable,
        )
