"""HTTP on a delivery worker: destinations with their status, test sends, replays, health, metrics.

All of it takes the scope ``destinations``, and a key sees and changes its own projects' only, because
definitions hold customers' URLs. Errors are problem+json as on the worker (``app.http.problems``).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import PublishedDestination, plan_changes
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.permissions.audiences import audience_refusals
from agents.deliver.permissions.permitted import refusals
from agents.registry.api_keys import EVERY_PROJECT, Scope
from agents.registry.audit import Action
from app.deliver.answers import (
    DeliverReadiness,
    DestinationStatus,
    DestinationStatuses,
    PublishedVersion,
    status_of,
)
from app.deliver.connections.routes import ConnectionRoutes
from app.deliver.connections.using import shown_to, usable_by
from app.deliver.destination import Running
from app.deliver.metrics import DeliveryCollector
from app.deliver.replay import Replayed, replay
from app.deliver.served import Deliveries
from app.deliver.trial import TestSend, TestSendResult, send_test
from app.http.answers import Json, ProblemError
from app.http.base import CALLER, Health, HttpBase
from app.http.problems import HttpProblem
from app.http.rate_limits import rate_limits_of
from app.http.routes import Body, JsonBody, Route
from app.http.tls import certificate_of
from app.http.warnings import WarningsCollector, shown_warnings
from app.publish.author import Author
from app.publish.permitted import own_topics_of, secrets_of
from rules.parse.problems import DefinitionsInvalid, name_hint

TEST_SECONDS = 60.0
PUBLISH_SECONDS = 45.0
REPLAY_SECONDS = 330.0
DEFINITION_BYTES = 128 * 1024
"""Of a definition: some YAML takes long to read, more than in proportion to its length."""
DEFINITION = Body("application/json", "application/yaml", most_bytes=DEFINITION_BYTES)
TEST = JsonBody(TestSend, "Not a test send")


class DeliverServer:
    """The HTTP side of one delivery worker."""

    def __init__(self, service: Deliveries) -> None:
        self._service = service
        self._replays: dict[str, asyncio.Task[Replayed]] = {}
        self._parsing = ThreadPoolExecutor(1, "definitions")  # so that many of them don't take all the time
        registry = CollectorRegistry()
        registry.register(DeliveryCollector(service))
        registry.register(WarningsCollector(service.warnings))
        health = Health(
            lambda: service.crashed is None, self._not_ready, self._readiness, registry, service.warnings
        )
        self._connections = ConnectionRoutes(service)
        self._base = HttpBase(
            "deliver",
            service.settings.deliver,
            service.keys,
            health,
            self._routes(),
            certificate=certificate_of(service.settings.http, service.warnings),
            limits=rate_limits_of(service.settings.http),
        )

    def _routes(self) -> list[Route]:
        scope: Scope = "destinations"
        all_of_them, one = "/v1/destinations", "/v1/destinations/{name:[^/]+}"
        listed = "Destinations of the key's projects, with status and definition"
        tried = "Send one made-up transition; the request and its answer, secrets masked"
        put = "Publish a definition, YAML or JSON; 422 with every error found"
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
            Route("GET", one, self._destination, scope, "One of them", problems=(404,)),
            Route(
                "PUT",
                one,
                self._put,
                scope,
                put,
                PUBLISH_SECONDS,
                body=DEFINITION,
                statuses=(200, 201),
                problems=(422,),
            ),
            Route(
                "DELETE",
                one,
                self._delete,
                scope,
                "Delete it",
                PUBLISH_SECONDS,
                statuses=(204,),
                problems=(404,),
            ),
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
        self._parsing.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    # -- destinations --------------------------------------------------------------------------------

    async def _destinations(self, request: web.Request) -> Json[DestinationStatuses]:
        caller, service = request[CALLER], self._service
        found = [
            status_of(each, service.plan.transitions, service.audiences.values())
            for _, each in sorted(service.running.items())
            if caller.covers(each.published.destination.project)
        ]
        # Nobody knows of what project one is that can't be read.
        unreadable = service.feed.unreadable if caller.covers(EVERY_PROJECT) else {}
        return Json(DestinationStatuses(found, unreadable))

    async def _destination(self, request: web.Request) -> Json[DestinationStatus]:
        service = self._service
        return Json(status_of(self._running(request), service.plan.transitions, service.audiences.values()))

    async def _put(self, request: web.Request) -> Json[PublishedVersion]:
        """Publish a definition, YAML or JSON; 422 with every error found."""
        name, body = request.match_info["name"], await DEFINITION.read(request)
        loop = asyncio.get_running_loop()
        destination = await loop.run_in_executor(self._parsing, _parsed, name, body)
        if destination.name != name:
            detail = f"the definition's name is {destination.name!r}, the path's {name!r}"
            raise HttpProblem(422, "Not a destination", detail)
        feed = self._service.feed
        caller, before = request[CALLER], feed.published.get(name)
        caller.require_project(destination.project)
        if name in feed.registry.unusable_versions:  # of what project is it that can't be read?
            caller.require_every_project()
        if before is not None and not caller.covers(before.destination.project):
            raise HttpProblem(
                403, "Not allowed", f"the name {name!r} is taken by a project that isn't the key's"
            )
        settings = self._service.settings
        whole = usable_by(caller, destination, self._service.connections.registry.published)
        refused = refusals(
            whole, secrets_of(settings, project=whole.secrets_project), own_topics_of(settings)
        )
        refused += audience_refusals(destination, self._service.audiences.values())
        if refused:
            errors = [ProblemError("not_permitted", "", each, "") for each in refused]
            raise HttpProblem(422, "Not a destination", "\n".join(refused), errors=errors)
        (change,) = plan_changes(feed.published, [destination], feed.registry.unusable_versions)
        if change.action != "unchanged":
            await self._publish(request, change.published, change.action)
        told = PublishedVersion(name, change.action, change.published.version)
        return Json(told, 201 if change.action == "created" else 200)

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        published = self._service.feed.published.get(name)
        if published is None or published.deleted or not self._may_see(request, published):
            raise HttpProblem(404, "No such destination", f"no destination {name!r} is published")
        gone = replace(published, version=published.version + 1, deleted=True)
        await self._publish(request, gone, "deleted")
        return web.Response(status=204)

    async def _publish(self, request: web.Request, published: PublishedDestination, action: Action) -> None:
        try:
            await self._service.publish(published, action, Author(request[CALLER].name, "http"))
        except KafkaError as error:
            raise HttpProblem(503, "Not available now", f"Kafka did not take it: {error!r}") from None

    async def _test(self, request: web.Request) -> Json[TestSendResult]:
        running, wanted = self._running(request), await TEST.decoded(request)
        result = await send_test(
            self._service.settings, running.published.destination, wanted, self._service.keys.digests
        )
        published = self._service.connections.registry.published
        return Json(shown_to(request[CALLER], running.published.destination, published, result))

    async def _replay(self, request: web.Request) -> Json[Replayed]:
        running = self._running(request)
        name = running.published.destination.name
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
        return request[CALLER].covers(published.destination.project)

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


def _parsed(name: str, body: bytes) -> Destination:
    """The one definition in a body. Raises HttpProblem with every error found."""
    try:
        (destination,) = load_destinations([(f"{name}.yaml", body.decode())])
    except DefinitionsInvalid as invalid:
        errors = [ProblemError(each.code, each.path, each.message, each.hint) for each in invalid.problems]
        raise HttpProblem(422, "Not a destination", str(invalid), errors=errors) from None
    except (ValueError, RecursionError):
        raise HttpProblem(422, "Not a destination", "the body must be one definition, UTF-8") from None
    return destination
