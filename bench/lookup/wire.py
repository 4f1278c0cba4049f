"""Requests and whole answers over one connection: HTTP and Redis, with as little work for each as can be.

A client library would cost more than what it asks, and another one for each side would be measured, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["http", "redis"]
END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Request:
    """``answer_bytes``: what comes back; None: the headers say."""

    data: bytes
    answer_bytes: int | None = None


class ConnectionLost(Exception):
    """The other side has closed."""


class Wire(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._come = bytearray()
        self._wanted: int | None = None
        self._whole: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._come += data
        if self._wanted is None:
            self._wanted = _length_of(self._come)
        if self._wanted is not None and len(self._come) >= self._wanted and self._whole is not None:
            whole, self._whole = self._whole, None
            if not whole.done():
                whole.set_result(bytes(self._come))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(ConnectionLost())

    async def ask(self, request: Request) -> bytes:
        """The whole answer. Raises ConnectionLost."""
        self._come.clear()
        self._wanted = request.answer_bytes
        self._whole = asyncio.get_running_loop().create_future()
        self._transport.write(request.data)
        return await self._whole

    def close(self) -> None:
        self._transport.close()


def _length_of(come: bytearray) -> int | None:
    """Bytes of an HTTP answer; None: its headers aren't all here."""
    end = come.find(END_OF_HEADERS)
    if end < 0:
        return None
    head = bytes(come[:end]).lower()
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + len(END_OF_HEADERS) + length


async def connect(port: int) -> Wire:
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, "127.0.0.1", port)
    return wire


def is_answer(kind: Kind, answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200") if kind == "http" else answer[:1] in b":*+$"


def request_of(kind: Kind, users: Sequence[str], audiences: Sequence[str]) -> Request:
    """Asks of each user whether the user is in each audience."""
    if kind == "http":
        return _http(users, audiences)
    if len(audiences) == 1:
        data = b"".join(command("SISMEMBER", user, audiences[0]) for user in users)
        return Request(data, 4 * len(users))
    data = b"".join(command("SMISMEMBER", user, *audiences) for user in users)
    return Request(data, len(users) * (len(f"*{len(audiences)}\r\n") + 4 * len(audiences)))


def command(*words: str) -> bytes:
    """A command as Redis takes it (RESP)."""
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        raw = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def _http(users: Sequence[str], audiences: Sequence[str]) -> Request:
    if len(users) == len(audiences) == 1:
        path = f"/v1/audiences/{audiences[0]}/members/{users[0]}"
        return Request(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    body = json.dumps({"users": [{"user_id": each} for each in users], "audiences": list(audiences)})
    head = f"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return Request((head + body).encode())
