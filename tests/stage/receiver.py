"""An HTTP receiver on loopback that keeps what it gets and misbehaves to order."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from app.kafka.embedded import free_ports

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


class Receiver:
    """``answer`` decides what each request gets; what was answered with 2xx is in ``taken``."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.Request, bytes]] = []
        self.taken: list[Any] = []
        self.answer: Answer = ok
        self.under_way = 0
        self.most_at_once = 0
        (self.port,) = free_ports(1)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request, body))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            response = await self.answer(request, body)
        finally:
            self.under_way -= 1
        if 200 <= response.status < 300:
            is_json = request.content_type == "application/json"
            decoded = json.loads(body) if is_json else body
            self.taken += decoded if isinstance(decoded, list) else [decoded]
        return response

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.taken]

    def repeats(self) -> int:
        return sum(count - 1 for count in Counter(self.ids).values())


async def ok(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response()


def status(code: int, **headers: str) -> Answer:
    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, text=f"said {code}", headers=named)

    return answer


async def close_mid_body(request: web.Request, body: bytes) -> web.StreamResponse:
    """Say 200 and a length, send less, and break the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    response.force_close()
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport is not None
    request.transport.close()
    return web.Response(status=599)


def slow(seconds: float) -> Answer:
    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response()

    return answer


def first(times: int, bad: Answer) -> Answer:
    """Misbehave for the first requests, then take."""
    seen = 0

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        return await (bad if seen <= times else ok)(request, body)

    return answer


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
