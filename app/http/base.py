"""What every process of ours that listens on HTTP has: routes behind API keys, problems, health, metrics.

Two listeners: one with all routes, and one with the probes alone, which needs no key and stays answerable
when the first is full. It tells numbers and the names of audiences and topics, nothing of any user.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agents.warnings import Warnings
from app.http.answers import Json, Readiness, Text, answers_of
from app.http.api_keys import Caller, KeyRing
from app.http.at_once.answers import AnswersOfRoutes
from app.http.connections import FOR_ALL, FOR_PROBES, connection_of
from app.http.guard import check_host, check_origin, check_target
from app.http.listen import HttpListener, ListenAddress, PortTaken
from app.http.openapi import openapi_of
from app.http.problems import Handler, HttpProblem, ProblemForm, answer_or_problem, as_problem_json
from app.http.rate_limits import RateLimits
from app.http.routes import BODY_BYTES, REQUEST_SECONDS, ROUTE, Query, Route, refuse_unknown_query
from app.http.tls import ServingCertificate
from app.settings.listener import ListenerSettings

log = structlog.get_logger("turnstile.http")

WRITE_SECONDS = 5.0
"""Beyond a handler's time, for a connection whose handler doesn't end with it."""

SAFE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""A cache between would answer without asking for the key: ``api-key`` is no header that caches know."""

CALLER = web.RequestKey("caller", Caller)
"""Who sent a request; set for routes that have a scope."""

AnswerListener = Callable[[str, int, float], None]
"""Gets route, status and seconds of every answer."""


VERBOSE = Query("verbose", "Says why not; takes a key with the scope `admin` for all projects")


@dataclass(frozen=True, slots=True)
class Health:
    """What probes ask of a process."""

    is_alive: Callable[[], bool]
    not_ready: Callable[[], list[str]]
    readiness: Callable[[], Readiness]
    registry: CollectorRegistry
    warnings: Warnings


class HttpBase:
    """The HTTP side of one process. ``section`` is where its settings are: ``http`` or ``deliver``."""

    def __init__(
        self,
        section: str,
        settings: ListenerSettings,
        keys: KeyRing,
        health: Health,
        routes: Sequence[Route],
        answered: AnswerListener | None = None,
        certificate: ServingCertificate | None = None,
        forms: Mapping[str, ProblemForm] = MappingProxyType({}),
        limits: RateLimits | None = None,
        is_shared: bool = False,
    ) -> None:
        """With a ``certificate`` the main listener speaks TLS; probes come from where nobody checks one.

        ``forms``: by the beginning of a path, how problems are answered below it. ``limits``: of each key.
        ``is_shared``: other processes listen on the main port, too.
        """
        self._is_shared = is_shared
        self._certificate = certificate
        self._forms = forms
        self._limits = limits
        self._section = section
        self._settings = settings
        self._keys = keys
        self._health = health
        self._answered = answered
        self._routes = [
            *routes,
            Route("GET", "/livez", self._livez, None, "Whether the process works", statuses=(200, 500)),
            Route(
                "GET",
                "/readyz",
                self._readyz,
                None,
                "Whether requests are answered and streams run",
                query=(VERBOSE,),
                statuses=(200, 503),
                problems=(401, 403),
                answer=answers_of(health.readiness)[0] or Readiness,
            ),
            Route(
                "GET",
                "/metrics",
                self._own_metrics,
                "admin",
                "Prometheus metrics; without a key on the port of the probes",
            ),
            Route("GET", "/openapi.json", self._openapi, None, "This description"),
        ]
        self._probes = [
            Route("GET", "/livez", self._livez, None),
            Route("GET", "/readyz", self._readyz_in_short, None),
            Route("GET", "/metrics", self._metrics, None),
        ]
        self._main: HttpListener | None = None
        self._probe: HttpListener | None = None

    async def start(self) -> None:
        """Listen on both ports. Raises CommandFailed when that can't be, or would let strangers in."""
        host, needs_loopback = self._settings.host, not self._keys.has_own
        if not self._keys.asks:
            hint = "everybody on this machine may do everything, until `turnstile keys create` has made a key"
            log.warning("no_api_keys", hint=hint)
        try:
            address = ListenAddress(host, self._settings.port, self._section, is_shared=self._is_shared)
            self._main = self._listener(self._routes, address)
            await self._main.start(needs_loopback)
            await self._start_probes(needs_loopback)
        except BaseException:
            await self.stop()
            raise

    async def _start_probes(self, needs_loopback: bool) -> None:
        key = "probe_port"
        address = ListenAddress(self._settings.host, self._settings.probe_port, self._section, key)
        try:
            self._probe = self._listener(self._probes, address)
            await self._probe.start(needs_loopback)
        except PortTaken:
            if key in self._settings.model_fields_set:
                raise
            # Nobody chose it: a second process on a machine needn't be told to choose another.
            self._probe = self._listener(self._probes, replace(address, port=0))
            await self._probe.start(needs_loopback)
            log.warning("probe_port_taken", setting=address.setting, port=address.port, url=self.probe_url)

    async def stop(self) -> None:
        for listener in (self._main, self._probe):
            if listener is not None:
                await listener.stop()

    @property
    def url(self) -> str:
        return self._main.url if self._main is not None else ""

    @property
    def probe_url(self) -> str:
        return self._probe.url if self._probe is not None else ""

    # -- around every request --------------------------------------------------------------------------

    def _listener(self, routes: Sequence[Route], address: ListenAddress) -> HttpListener:
        is_probe = routes is self._probes
        by_route: dict[web.AbstractRoute, Route] = {}

        @web.middleware
        async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
            route = by_route.get(request.match_info.route)
            if route is None:
                return await handler(request)
            request[ROUTE] = route
            if route.scope is not None:
                request[CALLER] = caller = self._keys.caller(request.headers)
                caller.require(route.scope, *route.also)
                if self._limits is not None:
                    self._limits.take(caller)
                refuse_unknown_query(request)
            if (connection := connection_of(request.transport)) is not None:
                connection.begin(route.seconds + WRITE_SECONDS)
            try:
                async with asyncio.timeout(route.seconds):
                    return await handler(request)
            except TimeoutError:
                raise HttpProblem(503, "Not available now", "there was no answer in time") from None

        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            check_target(request)
            if listener.is_loopback if is_probe else not self._keys.asks:
                check_host(request.raw_path, request.headers)
            check_origin(request.method, request.headers)
            return await handler(request)

        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            started = time.perf_counter()
            connection = connection_of(request.transport)
            if connection is not None:
                connection.begin(REQUEST_SECONDS + WRITE_SECONDS)
            try:
                hint = f" here; {self.url} has all routes" if is_probe else "; see /openapi.json"
                form = as_problem_json if is_probe else self._form_of(request)
                response = await answer_or_problem(request, partial(guarded, handler=handler), hint, form)
            finally:
                if connection is not None:
                    connection.end()
            response.headers.update(SAFE_HEADERS)
            if self._limits is not None and (caller := request.get(CALLER)) is not None:
                response.headers.update(self._limits.headers(caller))
            if self._answered is not None and (route := request.get(ROUTE)) is not None:
                self._answered(route.path, response.status, time.perf_counter() - started)
            return response

        app = web.Application(middlewares=[checked], client_max_size=BODY_BYTES)
        for each in routes:
            for method in ("GET", "HEAD") if each.method == "GET" else (each.method,):
                by_route[app.router.add_route(method, each.path, each.handler)] = each
        room = FOR_PROBES if is_probe else FOR_ALL
        certificate = None if is_probe else self._certificate
        at_once = None
        if not is_probe and any(each.at_once is not None for each in routes):
            at_once = AnswersOfRoutes(routes, self._keys, self._limits, SAFE_HEADERS, self._answered)
        listener = HttpListener(app, around, address, room, self._health.warnings, certificate, at_once)
        return listener

    def _form_of(self, request: web.Request) -> ProblemForm:
        found = (form for start, form in self._forms.items() if request.raw_path.startswith(start))
        return next(found, as_problem_json)

    # -- what all have ---------------------------------------------------------------------------------

    async def _livez(self, request: web.Request) -> Text:
        alive = self._health.is_alive()
        return Text("ok\n" if alive else "crashed\n", 200 if alive else 500)

    async def _readyz(self, request: web.Request) -> Json[Readiness] | Text:
        """``?verbose`` tells of all projects, so it takes a key like ``/metrics``."""
        if VERBOSE.of(request) is None:
            return await self._readyz_in_short(request)
        caller = self._keys.caller(request.headers)
        caller.require("admin")
        caller.require_every_project()
        readiness = self._health.readiness()
        return Json(readiness, 200 if readiness.ready else 503)

    async def _readyz_in_short(self, request: web.Request) -> Text:
        reasons = self._health.not_ready()
        return Text("not ready\n" if reasons else "ok\n", 503 if reasons else 200)

    async def _own_metrics(self, request: web.Request) -> Text:
        request[CALLER].require_every_project()
        return await self._metrics(request)

    async def _metrics(self, request: web.Request) -> Text:
        return Text(generate_latest(self._health.registry).decode(), content_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, request: web.Request) -> Json[dict[str, Any]]:
        return Json(openapi_of(self._routes))
