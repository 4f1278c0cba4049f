"""The protocol in front of aiohttp's: it answers plain requests at once, where it can.

What is plain and can't be answered at once goes to aiohttp's protocol, and the next request waits for the
end of that answer. From the first bytes on that are not plain, all of the connection is aiohttp's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web_request import BaseRequest

from app.http.connections import Connection, connection_of
from app.http.plain import Lacking, PlainReader, PlainRequest
from app.http.routes import BODY_SECONDS, REQUEST_SECONDS

MOST_AT_ONCE: Final = 32
"""Requests that came together and are answered in one go: other connections have their turn then."""
MOST_HELD_BYTES: Final = 256 * 1024
"""Of what comes while aiohttp answers; a client that sends more waits."""


class AnswersAtOnce(Protocol):
    """Who answers plain requests."""

    def answer(self, request: PlainRequest) -> bytes | None:
        """The whole answer; None: aiohttp must answer."""
        ...


class AtOnce(asyncio.Protocol):
    """One connection. ``make_aiohttp`` makes the protocol that answers everything else."""

    def __init__(self, make_aiohttp: Callable[[], asyncio.Protocol], answers: AnswersAtOnce) -> None:
        self._make_aiohttp = make_aiohttp
        self._answers = answers
        self._reader = PlainReader()
        self._transport: asyncio.Transport
        self._connection: Connection | None = None
        self._aiohttp: asyncio.Protocol | None = None
        self._is_over = False
        """All that comes is aiohttp's."""
        self._is_busy = False
        """aiohttp answers a request."""
        self._is_full = False
        """The client doesn't read what was written."""
        self._is_paused = False
        self._held = b""
        self._lacks_until = 0
        """The request at the beginning of what is held is whole with so many bytes."""
        self._timer: asyncio.TimerHandle | None = None

    # -- what asyncio calls ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connection = connection_of(transport)
        if self._connection is not None:
            self._connection.on_answer = self.answered

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._others().data_received(data)
            return
        self._held = self._held + data if self._held else data
        if self._is_busy:
            if len(self._held) > MOST_HELD_BYTES and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()
        elif len(self._held) >= self._lacks_until:
            self._go_on()

    def eof_received(self) -> bool | None:
        return None if self._aiohttp is None else self._aiohttp.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        self._held = b""
        if self._aiohttp is not None:
            self._aiohttp.connection_lost(exc)

    def pause_writing(self) -> None:
        self._is_full = True
        if self._aiohttp is not None:
            self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._aiohttp is not None:
            self._aiohttp.resume_writing()

    # -- requests --------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Answer what is held, as far as that can be."""
        self._in_time()
        data, at = self._held, 0
        answers: list[bytes] = []
        given: bytes | None = None
        while at < len(data):
            if self._is_full or len(answers) == MOST_AT_ONCE:
                self._is_over = True
                break
            read = self._reader.read(data, at)
            if read is None:
                self._is_over = True
                break
            if isinstance(read, Lacking):
                self._lacks_until = read.end - at
                break
            request, end = read
            answer = self._answers.answer(request)
            if answer is None:
                given, at = data[at:end], end
                break
            answers.append(answer)
            at = end
        self._held = data[at:]
        if answers:
            self._write(answers)
        if given is not None:
            self._is_busy = True
            self._others().data_received(given)
        elif self._is_over:
            self._give_way()
        elif self._lacks_until:
            self._wait()

    def _write(self, answers: list[bytes]) -> None:
        if (connection := self._connection) is not None:
            connection.begin(REQUEST_SECONDS)
            connection.end()
        self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))

    def answered(self, is_kept: bool) -> None:
        """aiohttp has written its answer; the connection goes on, or doesn't."""
        if not self._is_busy:
            return
        self._is_busy = False
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        if not is_kept:
            self._give_way()
        elif self._held:
            # Not within aiohttp's task, which would have another one's work to do.
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if not (self._is_busy or self._is_over or self._transport.is_closing()):
            self._go_on()

    def _wait(self) -> None:
        """For the rest of a body; some time, then aiohttp waits and says what is wrong."""
        if (connection := self._connection) is not None:
            connection.begin(REQUEST_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(BODY_SECONDS / 2, self._give_way)

    def _in_time(self) -> None:
        self._lacks_until = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_way(self) -> None:
        """All that is held and all that comes is aiohttp's."""
        self._in_time()
        self._is_over = True
        data, self._held = self._held, b""
        if data:
            self._others().data_received(data)

    def _others(self) -> asyncio.Protocol:
        if self._aiohttp is None:
            self._aiohttp = self._make_aiohttp()
            self._aiohttp.connection_made(self._transport)
            if self._is_full:
                self._aiohttp.pause_writing()
        return self._aiohttp


class Answered(AbstractAccessLogger):
    """What aiohttp calls when an answer is written. It logs nothing."""

    def log(self, request: BaseRequest, response: web.StreamResponse, time: float) -> None:
        connection = connection_of(request.transport)
        if connection is not None:
            connection.on_answer(bool(response.keep_alive))
