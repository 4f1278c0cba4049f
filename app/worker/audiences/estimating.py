"""``POST /v1/audiences:estimate``: how large definitions would be, before they are published.

A child process does the work (``app.estimate.process``), so lookups go on meanwhile. Whoever closes the
connection ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from agents.estimate.answer import Estimates
from agents.estimate.estimate import DAYS, ERROR
from app.estimate.process import Failed, Message, ask
from app.estimate.question import Precision, Question
from app.failures import CommandFailed
from app.http.answers import JSON_LINES, Json, JsonLinesAsTheyCome
from app.http.base import SAFE_HEADERS
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import Query, Route
from app.worker.audiences.definitions import DEFINITION, Definitions
from app.worker.audiences.paths import AUDIENCES
from app.worker.audiences.shown import Followed

SECONDS: Final = 900.0
MOST_DAYS: Final = 1_000
AT_ONCE: Final = 1
"""Each takes a core, and up to half a GiB."""
LOOK_SECONDS: Final = 0.5
"""How often it is looked whether the client is still there."""
PRECISION = Query("error", "Relative error at which it ends, above 0 and below 1; `0`: all users", str(ERROR))
DAYS_BEFORE = Query("days", f"Sizes of so many days before today, at most {MOST_DAYS}", str(DAYS))
AT = Query("at", "`now`, or `end`: the instant of the log's last record", "now")

_encode = msgspec.json.Encoder().encode


class EstimateRoutes:
    """Takes questions, some at a time."""

    def __init__(self, worker: Followed, definitions: Definitions) -> None:
        self._worker = worker
        self._definitions = definitions
        self._running = 0

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                AUDIENCES + ":estimate",
                self._estimate,
                "audiences",
                "How large audiences would be, from a sample of the users; nothing is published",
                seconds=SECONDS,
                query=(PRECISION, DAYS_BEFORE, AT, PROJECT),
                body=DEFINITION,
                problems=(422, 429),
            )
        ]

    async def _estimate(self, request: web.Request) -> Json[Estimates] | JsonLinesAsTheyCome:
        """One answer; with ``Accept: application/x-ndjson`` the progress, too, as it comes."""
        precision = _precision(request)
        published = self._worker.feed.published
        wanted = await self._definitions.all(await DEFINITION.read(request), project_of(request), published)
        if self._running >= AT_ONCE:
            busy = HttpProblem(429, "Too many requests", "another estimate is under way on this worker")
            busy.headers["Retry-After"] = "5"
            raise busy
        question = Question(tuple(each.audience for each in wanted), tuple(published.values()), precision)
        self._running += 1
        try:
            asking = ask(self._worker.settings, question)
            async with aclosing(_while_connected(request, asking)) as messages:
                if JSON_LINES in request.headers.get("Accept", ""):
                    return await _streamed(request, messages)
                return Json(await _last(messages))
        finally:
            self._running -= 1


async def _while_connected(
    request: web.Request, messages: AsyncGenerator[Message]
) -> AsyncGenerator[Message]:
    """The child's messages. Raises ConnectionResetError once the client has gone; the child ends then."""
    following: asyncio.Future[Message] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(messages))
            while not (await asyncio.wait({following}, timeout=LOOK_SECONDS))[0]:
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionResetError("the client has gone")
            try:
                message = following.result()
            except StopAsyncIteration:
                return
            yield message
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
        await messages.aclose()  # ends the child


async def _last(messages: AsyncIterator[Message]) -> Estimates:
    """Raises HttpProblem when there is no answer."""
    try:
        async for message in messages:
            if message.failed is not None:
                raise HttpProblem(503, "Not available now", message.failed.reason)
            if message.estimates is not None:
                return message.estimates
    except CommandFailed as failed:
        raise HttpProblem(503, "Not available now", str(failed)) from None
    raise HttpProblem(503, "Not available now", "the estimate ended without an answer")


async def _streamed(request: web.Request, messages: AsyncIterator[Message]) -> JsonLinesAsTheyCome:
    """Lines ``{"progress": …}``, and at last ``{"estimates": …}`` or ``{"failed": …}``."""
    response = JsonLinesAsTheyCome(headers=SAFE_HEADERS)
    await response.prepare(request)
    try:
        async with asyncio.timeout(SECONDS - 5):
            async for message in messages:
                await response.write(_encode(message) + b"\n")
    except (CommandFailed, TimeoutError) as error:
        reason = str(error) or f"there was no answer within {SECONDS:.0f} s"
        await response.write(_encode(Message(failed=Failed(reason))) + b"\n")
    await response.write_eof()
    return response


def _precision(request: web.Request) -> Precision:
    """Raises HttpProblem for what can't be asked."""
    error, days, at = PRECISION.of(request) or "", DAYS_BEFORE.of(request) or "", AT.of(request)
    try:
        share = float(error)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise HttpProblem(400, "Bad request", f"error is a number from 0 to below 1, not {error!r}")
    if not days.isascii() or not days.isdigit() or len(days) > 4 or int(days) > MOST_DAYS:
        raise HttpProblem(400, "Bad request", f"days is 0 to {MOST_DAYS}, not {days!r}")
    if at not in ("now", "end"):
        raise HttpProblem(400, "Bad request", f"at is now or end, not {at!r}")
    return Precision(share or ERROR, share == 0, int(days), "now" if at == "now" else "end")
