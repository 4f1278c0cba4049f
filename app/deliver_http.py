"""HTTP on a delivery worker: destinations with their status, test sends, replays, health, metrics.

Scope ``lookup`` reads, ``admin`` sends. Errors are problem+json as on the worker (``app.problems``).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agents.deliver.feed import plan_changes
from agents.deliver.parse import load_destinations
from app.api_keys import is_allowed
from app.deliver_metrics import DeliveryCollector, lag_of
from app.deliver_replay import replay
from app.deliver_trial import TestSend, send_test
from app.http_warnings import shown_warnings
from app.metrics import WarningsCollector
from app.problems import Handler, Problem, answer_or_problem, json_answer
from rules.instants import format_instant
from rules.problems import DefinitionsInvalid, name_hint

if TYPE_CHECKING:
    from app.deliver import DeliveryService
    from app.deliver_one import Running

log = structlog.get_logger("turnstile.deliver")


class DeliverServer:
    """The HTTP side of one delivery worker."""

    def __init__(self, service: DeliveryService) -> None:
        self._service = service
        self._runner: web.AppRunner | None = None
        self._registry = CollectorRegistry()
        self._registry.register(DeliveryCollector(service))
        self._registry.register(WarningsCollector(service.warnings))
        self._replays: dict[str, asyncio.Task[Any]] = {}
        self.url = ""

    async def start(self) -> None:
        app = web.Application(middlewares=[self._problems])
        app.router.add_get("/v1/destinations", self._destinations)
        app.router.add_get("/v1/destinations/{name}", self._destination)
        app.router.add_put("/v1/destinations/{name}", self._put)
        app.router.add_delete("/v1/destinations/{name}", self._delete)
        app.router.add_post("/v1/destinations/{name}:test", self._test)
        app.router.add_post("/v1/destinations/{name}:replay", self._replay)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        settings = self._service.settings
        if not settings.http.api_keys:
            log.warning("no_api_keys", hint="set http.api_keys: now anyone who can connect may send")
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, settings.deliver.host, settings.deliver.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        for task in self._replays.values():
            task.cancel()
        await asyncio.gather(*self._replays.values(), return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    # -- destinations --------------------------------------------------------------------------------

    async def _destinations(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "lookup")
        service = self._service
        found = [self._shown(each) for _, each in sorted(service.running.items())]
        return json_answer({"destinations": found, "unreadable": service.feed.unreadable})

    async def _destination(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "lookup")
        return json_answer(self._shown(self._running(request)))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        """Publish a definition, YAML or JSON; 422 with every error found."""
        self._allow(request, "admin")
        name = request.match_info["name"]
        try:
            (destination,) = load_destinations([(f"{name}.yaml", (await request.read()).decode())])
        except DefinitionsInvalid as invalid:
            errors = [
                {"code": each.code, "path": each.path, "message": each.message, "hint": each.hint}
                for each in invalid.problems
            ]
            raise Problem(422, "Not a destination", str(invalid), errors=errors) from None
        except (ValueError, UnicodeDecodeError):
            raise Problem(422, "Not a destination", "the body must be one definition, UTF-8") from None
        if destination.name != name:
            detail = f"the definition's name is {destination.name!r}, the path's {name!r}"
            raise Problem(422, "Not a destination", detail)
        (change,) = plan_changes(self._service.feed.published, [destination])
        if change.action != "unchanged":
            await self._service.publish(change.published)
        body = {"name": name, "action": change.action, "version": change.published.version}
        return json_answer(body, 201 if change.action == "created" else 200)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "admin")
        name = request.match_info["name"]
        published = self._service.feed.published.get(name)
        if published is None or published.deleted:
            raise Problem(404, "No such destination", f"no destination {name!r} is published")
        await self._service.publish(replace(published, version=published.version + 1, deleted=True))
        return web.Response(status=204)

    async def _test(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "admin")
        running = self._running(request)
        try:
            wanted = msgspec.json.decode(await request.read() or b"{}", type=TestSend)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Problem(400, "Not a test send", str(error)) from None
        result = await send_test(self._service.settings, running.published.destination, wanted)
        return json_answer(result)

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        self._allow(request, "admin")
        running = self._running(request)
        name = running.published.destination.name
        going = self._replays.get(name)
        if going is not None and not going.done():
            raise Problem(409, "Replay is under way", f"dead letters of {name!r} are being sent already")
        task = asyncio.create_task(replay(self._service.settings, running.published))
        self._replays[name] = task
        return json_answer(await asyncio.shield(task))

    def _running(self, request: web.Request) -> Running:
        name = request.match_info["name"]
        running = self._service.running.get(name)
        if running is None:
            known = self._service.running
            detail = f"no destination {name!r} is delivered to here"
            raise Problem(
                404, "No such destination", detail, **({"hint": name_hint(name, known)} if known else {})
            )
        return running

    def _shown(self, running: Running) -> dict[str, object]:
        return status_of(running, self._service.plan.transitions)

    # -- health --------------------------------------------------------------------------------------

    async def _livez(self, request: web.Request) -> web.StreamResponse:
        alive = self._service.crashed is None
        return web.Response(text="ok\n" if alive else "crashed\n", status=200 if alive else 500)

    async def _readyz(self, request: web.Request) -> web.StreamResponse:
        """Ready means that destinations are loaded; one that is dead doesn't make the others unready."""
        ready = self._service.feed.loaded.is_set()
        if "verbose" in request.query:
            body = {
                "ready": ready,
                "unreadable_destinations": self._service.feed.unreadable,
                "warnings": shown_warnings(self._service.warnings),
            }
            return json_answer(body, 200 if ready else 503)
        return web.Response(text="ok\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    # -- around every request ------------------------------------------------------------------------

    def _allow(self, request: web.Request, scope: str) -> None:
        keys = self._service.settings.http.api_keys
        if not is_allowed(keys, request.headers.get("api-key", ""), scope):
            raise Problem(401, "Not allowed", f"the header api-key must hold a key with the scope {scope!r}")

    @web.middleware
    async def _problems(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await answer_or_problem(request, handler)


def status_of(running: Running, topic: str) -> dict[str, object]:
    """A destination and how its delivery goes; secrets are references here."""
    report, destination = running.report, running.published.destination
    lag = lag_of(running, topic)
    return {
        "name": destination.name,
        "kind": destination.kind,
        "version": running.published.version,
        "state": running.state,
        "partitions": running.deliverer.partitions if running.deliverer is not None else [],
        "lag": lag,
        "in_hand": report.in_hand,
        "delivered": report.delivered,
        "filtered": report.filtered,
        "backfilled": report.backfilled,
        "requests": report.requests,
        "retries": report.retries,
        "unknown": report.unknown,
        "dead_letters": report.dead_letters,
        "expired": report.expired,
        "last_success": None if report.last_success_ms is None else format_instant(report.last_success_ms),
        "last_error": None
        if report.last_error_ms is None
        else {"at": format_instant(report.last_error_ms), "error": report.last_error},
        "definition": destination.document,
    }
