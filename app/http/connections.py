"""The connections of one listener: how many there may be, and how long each may keep us waiting.

aiohttp limits neither. Each connection is wrapped in a protocol that notes what it is doing, and one task a
listener looks at all of them every second.

A connection *waits* (for a request, or for its client to read the answer) or is *served* (a handler is at
work, which has a time limit of its own). When there is no room for one more, the one that has waited longest
goes: a client that only holds connections open loses them first, and others still get through. nginx does the
same with idle connections.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

HEADER_SECONDS = 10.0
"""From the first byte of a request (or from the connection's start) to the end of its headers."""
IDLE_SECONDS = 75.0
"""Between two requests; longer than the 60 s of common load balancers, which must be the first to hang up."""
UNREAD_SECONDS = 30.0
"""How long an answer may wait for its client to read on."""
CLOSING_SECONDS = 2.0
CHECK_SECONDS = 1.0

TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections a listener may have: ``most``, and no more than a share of the files that the
    process may open (``ulimit -n``), because Kafka and RocksDB need the others."""

    most: int
    share: int

    @property
    def connections(self) -> int:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            return self.most
        return max(8, min(self.most, files // self.share))


FOR_ALL = Room(1000, 4)
FOR_PROBES = Room(64, 16)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a listener grants its clients."""

    connections: int
    header_seconds: float = HEADER_SECONDS
    idle_seconds: float = IDLE_SECONDS
    unread_seconds: float = UNREAD_SECONDS


class Connections:
    """All connections of a listener.

    ``full`` is called whenever one has to go for want of room, ``eased`` when half of the room is free again.
    """

    def __init__(self, limits: ConnectionLimits, full: Callable[[], None], eased: Callable[[], None]) -> None:
        self.limits = limits
        self._full = full
        self._eased = eased
        self._was_full = False
        self._waiting: dict[Connection, None] = {}  # in the order in which they began to wait
        self._served: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._served)

    async def watch(self) -> None:
        """End connections that take too long, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in [each for each in (*self._waiting, *self._served) if each.deadline <= now]:
                connection.time_is_up(now)
            if self._was_full and len(self) <= self.limits.connections // 2:
                self._was_full = False
                self._eased()

    def admit(self, connection: Connection) -> bool:
        """Make room for one more. False: every connection is being served."""
        if len(self) >= self.limits.connections:
            self._was_full = True
            self._full()
            if not self._waiting:
                return False
            oldest = next(iter(self._waiting))
            self.forget(oldest)
            oldest.abort()
        self._waiting[connection] = None
        return True

    def close_waiting(self) -> None:
        """No more requests are taken. Those that are served come to their ends."""
        for connection in [*self._waiting]:
            connection.close()

    def forget(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._served.discard(connection)

    def serve(self, connection: Connection) -> None:
        if connection in self._waiting:
            del self._waiting[connection]
            self._served.add(connection)

    def wait(self, connection: Connection) -> None:
        if connection in self._served:
            self._served.discard(connection)
            self._waiting[connection] = None


class Connection(asyncio.Protocol):
    """One connection: aiohttp's protocol, and what the connection is doing."""

    def __init__(self, inner: asyncio.Protocol, room: Connections) -> None:
        self._inner = inner
        self._room = room
        self._limits = room.limits
        self._now = asyncio.get_running_loop().time
        self._transport: asyncio.Transport
        self._is_served = False
        self._has_begun = False
        """Some of the next request is here."""
        self._is_closing = False
        self._refused = False
        self._has_arrived = False
        self.deadline = 0.0
        self.on_answer: Callable[[bool], None] = lambda _: None
        """Is called when aiohttp has written an answer, with whether the connection is kept."""

    # -- what asyncio calls ----------------------------------------------------------------------------

    def arrive(self, transport: asyncio.BaseTransport) -> None:
        """A connection that has to agree on TLS before anything can be said on it."""
        self._has_arrived = True
        if not self._admit(transport):
            self.abort()

    def leave(self) -> None:
        """It is gone, with or without an agreement."""
        self._room.forget(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._has_arrived and not self._admit(transport):
            self._transport.write(FULL)
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
            return
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)

    def _admit(self, transport: asyncio.BaseTransport) -> bool:
        self._transport = cast(asyncio.Transport, transport)
        self.deadline = self._now() + self._limits.header_seconds
        self._refused = not self._room.admit(self)
        return not self._refused

    def data_received(self, data: bytes) -> None:
        if self._refused or self._is_closing:
            return
        if not self._is_served and not self._has_begun:
            self._has_begun = True
            self.deadline = self._now() + self._limits.header_seconds
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._refused else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.forget(self)
        if not self._refused:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        if not self._is_served:
            self.deadline = min(self.deadline, self._now() + self._limits.unread_seconds)

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    # -- what the server tells -------------------------------------------------------------------------

    def begin(self, seconds: float) -> None:
        """A whole request is here, which may be worked at for so long."""
        self._is_served, self._has_begun = True, False
        self.deadline = self._now() + seconds
        self._room.serve(self)

    def end(self) -> None:
        """Its answer is ready to be written."""
        self._is_served = False
        self.deadline = self._now() + self._limits.idle_seconds
        self._room.wait(self)

    # -- what the watch does ---------------------------------------------------------------------------

    def time_is_up(self, now: float) -> None:
        """Say so and close; at the second time, or where nobody reads, without another word."""
        if self._is_closing or self._is_served or self._transport.get_write_buffer_size():
            self.abort()
            return
        if self._has_begun:
            self._transport.write(TIMED_OUT)
        self._is_closing = True
        self.deadline = now + CLOSING_SECONDS
        self._transport.close()

    def close(self) -> None:
        """When what was written is sent."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def connection_of(transport: asyncio.BaseTransport | None) -> Connection | None:
    """The connection that a request came by; None when it is gone."""
    if transport is None:
        return None
    protocol = transport.get_protocol()  # uvloop's transports are no asyncio.Transport, and have it, too
    return protocol if isinstance(protocol, Connection) else None
