"""``GET /v1/audiences/{id}/transitions``: an audience's transitions as they come, as server-sent events.

The format is that of the HTML standard (section 9.2, "Server-sent events"). Each event's id says where the
transitions topic goes on after it, so a client that comes again with ``Last-Event-ID`` misses nothing and
gets nothing twice, whichever process answers. Heartbeats bring an id, too, but no event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from agents.kafka.broker import Broker
from app.http.answers import EventStream
from app.http.api_keys import KeyRing
from app.http.base import CALLER, SAFE_HEADERS
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import ROUTE, Header, Route
from app.live.places import Places
from app.live.positions import shown
from app.live.tail import Found, Tail, tail

log = structlog.get_logger("turnstile.live")

LIFE_SECONDS: Final = 3600.0
"""After which a client has to come again, so that keys and processes can change."""
HEARTBEAT_SECONDS: Final = 15.0
"""Well below the minute after which proxies take a connection for dead."""
LOOK_SECONDS: Final = 1.0
"""How often it is looked whether client, key and process are still there."""
SLOW_SECONDS: Final = 10.0
"""How long a client may take to read on; more than that waits in no memory of ours."""
LAST_SECONDS: Final = 2.0
RETRY_MS: Final = 1000
LAST_EVENT_ID = Header("Last-Event-ID", "The `id` of the last event; without it the feed begins now")

_encode = msgspec.json.Encoder().encode


class Cut(Exception):
    """A feed that ends, with the reason as the client is told."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class LiveFeeds:
    """The feeds of one process. ``known`` raises HttpProblem where a project has no such audience."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        keys: KeyRing,
        known: Callable[[str, str], object],
        registry: CollectorRegistry,
        places: Places | None = None,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self._places = places or Places()
        self._broker = broker
        self._topic = topic
        self._keys = keys
        self._known = known
        self._slow_seconds = slow_seconds
        self._closing = False
        self._cuts = Counter(
            "turnstile_live_feeds_cut",
            "Live feeds that the process ended, by reason.",
            ["reason"],
            registry=registry,
        )
        taken = Gauge("turnstile_live_feeds", "Live feeds that the process serves now.", registry=registry)
        taken.set_function(lambda: self._places.taken)

    def close(self) -> None:
        """The process stops: clients are told, and come again elsewhere."""
        self._closing = True

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/audiences/{audience:[^/]+}/transitions",
                self._feed,
                "lookup",
                "The audience's transitions as they come: server-sent events `enter`, `exit`, and `end`",
                seconds=LIFE_SECONDS + 2 * SLOW_SECONDS,
                query=(PROJECT,),
                headers=(LAST_EVENT_ID,),
                problems=(404, 410, 429),
            )
        ]

    async def _feed(self, request: web.Request) -> EventStream:
        project, audience = project_of(request), request.match_info["audience"]
        self._known(project, audience)
        response = EventStream(SAFE_HEADERS)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        with self._places.one_for(request[CALLER]):
            try:
                async with tail(
                    self._broker, self._topic, project, audience, LAST_EVENT_ID.of(request)
                ) as following:
                    await response.prepare(request)
                    await self._stream(request, response, following)
            except KafkaError as error:
                if response.prepared:
                    raise  # _stream has told it
                raise HttpProblem(503, "Not available now", f"Kafka doesn't answer: {error!r}") from None
        return response

    async def _stream(self, request: web.Request, response: EventStream, following: Tail) -> None:
        try:
            await self._follow(request, response, following)
        except Cut as cut:
            told = {"reason": cut.reason, "detail": str(cut)}
            self._cuts.labels(cut.reason).inc()
            log.info("live_feed_cut", caller=request[CALLER].name, path=request.path, **told)
            await _say_last(request, response, b"event: end\ndata: %b\n\n" % _encode(told))

    async def _follow(self, request: web.Request, response: EventStream, following: Tail) -> None:
        """Raises Cut at last; ConnectionError where the client has gone."""
        began = time.monotonic()
        text = b"retry: %d\n" % RETRY_MS + _beat(following)
        written = began
        while True:
            if text:
                await self._write(response, text)
                written = time.monotonic()
            self._look(request, began)
            if not following.has_all:
                raise Cut("partitions", "there are more partitions: come again with Last-Event-ID")
            try:
                found = await following.next(LOOK_SECONDS)
            except KafkaError as error:
                raise Cut("kafka", f"Kafka doesn't answer: {type(error).__name__}") from error
            text = b"".join(map(_event, found))
            if not text and time.monotonic() - written > HEARTBEAT_SECONDS:
                text = _beat(following)

    async def _write(self, response: EventStream, text: bytes) -> None:
        try:
            async with asyncio.timeout(self._slow_seconds):
                await response.write(text)
        except TimeoutError:
            raise Cut("slow", f"nothing was read for {self._slow_seconds:.0f} s") from None

    def _look(self, request: web.Request, began: float) -> None:
        """Raises Cut, or ConnectionError."""
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if self._closing:
            raise Cut("stopping", "this process stops: come again with Last-Event-ID")
        if time.monotonic() - began > LIFE_SECONDS:
            raise Cut("time", f"after {LIFE_SECONDS:.0f} s: come again with Last-Event-ID")
        try:
            caller = self._keys.caller(request.headers)
            caller.require(request[ROUTE].scope or "lookup")
            project_of(request)
        except HttpProblem as problem:
            raise Cut("key", str(problem)) from None


async def _say_last(request: web.Request, response: EventStream, text: bytes) -> None:
    """The end, also to a client that doesn't read: it is there if the client reads on within a moment."""
    try:
        async with asyncio.timeout(LAST_SECONDS):
            await response.write(text)
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.close()


def _beat(following: Tail) -> bytes:
    """A comment, which keeps the connection, and an id without data, which browsers note and show nobody."""
    return b": \nid: %b\n\n" % shown(following.position).encode()


def _event(found: Found) -> bytes:
    # A transition is one line of JSON, as our encoder writes it; a line of others' must not become a field.
    body = found.body.replace(b"\r", b" ").replace(b"\n", b" ")
    name = b"enter" if found.event == "enter" else b"exit"
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (shown(found.position).encode(), name, body)
