"""The HTTP base on real sockets, with routes that need no Kafka, and raw bytes sent to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry

from agents.kafka.consumed import Consumed
from agents.registry.api_keys import KeyRecord
from agents.registry.api_keys_topic import api_keys_feed
from agents.warnings import Warnings
from app.http.answers import Json, Readiness
from app.http.api_keys import KeyRing
from app.http.base import CALLER, Health, HttpBase
from app.http.rate_limits import rate_limits_of
from app.http.routes import Body, Query, Route
from app.http.tls import certificate_of
from app.settings.http import HttpSettings

USER = "/v1/users/ann"
SECONDS = 10.0
LARGE_BYTES = 40_000_000
"""More than the buffers of two sockets hold."""


PROJECT = Query("project")
USER_ID = Query("user_id")
BODY = Body("text/plain")


def ready() -> Readiness:
    return Readiness(ready=True, reasons=[], warnings=[])


def no_consumer() -> AIOKafkaConsumer:
    raise AssertionError("nothing here follows a topic")


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def api_key(key: str, *scopes: str, **more: object) -> dict[str, object]:
    return {"name": key, "sha256": digest(key), "scopes": list(scopes), **more}


class Lab:
    """``base`` listens; ``feed`` is where keys of the topic come from."""

    def __init__(self, **http: Any) -> None:
        self.warnings = Warnings()
        self.feed = api_keys_feed(no_consumer, "t.keys", self.warnings)
        self.settings = HttpSettings.model_validate({"port": 0, "probe_port": 0, **http})
        self.keys = KeyRing(self.settings, self.feed, self.warnings)
        self.released = asyncio.Event()
        self.held = 0
        """Requests that wait for ``released``."""
        health = Health(lambda: True, list, ready, CollectorRegistry(), self.warnings)
        routes = [
            Route("GET", "/v1/users/{user_id:[^/]+}", self._echo, "lookup", query=(PROJECT, USER_ID)),
            Route("GET", "/large", self._large, "lookup"),
            Route("GET", "/held", self._held, "lookup"),
            Route("PUT", "/v1/destinations/{user_id:[^/]+}", self._put, "destinations", body=BODY),
        ]
        certificate = certificate_of(self.settings, self.warnings)
        self.base = HttpBase(
            "http",
            self.settings,
            self.keys,
            health,
            routes,
            certificate=certificate,
            limits=rate_limits_of(self.settings),
        )

    def publish(self, key: str, *scopes: Any, projects: Sequence[str] = ("*",), **more: Any) -> None:
        from agents.registry.api_keys import encode_key

        record = KeyRecord(digest(key), tuple(scopes), tuple(projects), 0, **more)
        self.take(key.encode(), encode_key(record), 0)

    def take(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """A record of the topic of keys."""
        self.feed.take(Consumed("t.keys", 0, offset, 0, key, value, []))

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        request[CALLER].require_project(PROJECT.of(request) or "default")
        return Json({"user_id": request.match_info["user_id"]})

    async def _large(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * LARGE_BYTES)

    async def _held(self, request: web.Request) -> web.StreamResponse:
        self.held += 1
        await self.released.wait()
        return Json({})

    async def _put(self, request: web.Request) -> web.StreamResponse:
        return Json({"bytes": len(await BODY.read(request))})


@asynccontextmanager
async def lab(loaded: bool = True, **http: Any) -> AsyncIterator[Lab]:
    made = Lab(**http)
    if loaded:
        made.feed.loaded.set()
    await made.base.start()
    try:
        yield made
    finally:
        made.released.set()
        await made.base.stop()


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def talk(url: str, sent: bytes, seconds: float = SECONDS) -> bytes:
    """All that comes back for some bytes, until the server closes or nothing comes for so long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(url))
    answer = b""
    try:
        writer.write(sent)
        while more := await asyncio.wait_for(reader.read(65_536), seconds):
            answer += more
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return answer


async def ask(
    url: str, target: str = "/v1/users/ann", method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """(status, all of the answer); headers with ``_`` for ``-``. 0: no answer."""
    lines = {"Host": url.removeprefix("http://"), "Connection": "close", **headers}
    if body:
        lines["Content-Length"] = str(len(body))
    head = [
        f"{method} {target} HTTP/1.1",
        *(f"{key.replace('_', '-')}: {each}" for key, each in lines.items()),
    ]
    answer = await talk(url, "\r\n".join([*head, "", ""]).encode() + body)
    return (int(answer.split(b" ", 2)[1]), answer) if answer else (0, b"")


async def status(made: Lab, target: str = USER, method: str = "GET", **headers: str) -> int:
    return (await ask(made.base.url, target, method, **headers))[0]
