"""A listener: an aiohttp application on an address, behind the limits of ``app.http.connections``.

Closed by default: without API keys only addresses that surely are loopback are listened on. A name counts as
what it resolves to, ``localhost`` too, and the addresses that were looked at are the ones that are bound.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from agents.warnings import Warnings
from app.address import bare, base_url, is_loopback
from app.failures import CommandFailed
from app.http.at_once.connection import Answered, AnswersAtOnce, AtOnce
from app.http.connections import Connection, ConnectionLimits, Connections, Room
from app.http.problems import Handler
from app.http.tls import ServingCertificate, TlsConnection
from app.settings.sources import variable

STOP_SECONDS = 2.0
LINGER_SECONDS = 2.0
"""For what a client still sends when it has its answer already."""
BACKLOG = 128
KEPT_SECONDS = 1e6
"""aiohttp would close connections that it had no request of for an hour, and somebody else answers there,
too. How long one may be idle is ``app.http.connections``' to say."""

CONNECTIONS_FULL = "http_connections_full"


class PortTaken(CommandFailed):
    """Something else listens on the address."""


class _WithoutBadRequests(logging.Filter):
    """aiohttp logs a traceback for bytes that aren't HTTP; the sender is told, and it is no fault of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_log = logging.getLogger("turnstile.http.server")
_log.addFilter(_WithoutBadRequests())


Around = Callable[[Any, Handler], Awaitable[web.StreamResponse]]
"""Takes a request and what answers it."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen. ``setting`` is the section of the settings and the key of the port, for messages."""

    host: str
    port: int
    section: str
    key: str = "port"
    is_shared: bool = False
    """Other processes of ours listen there, too; the system shares connections out (SO_REUSEPORT)."""

    @property
    def setting(self) -> str:
        return f"{self.section}.{self.key}"


class HttpListener:
    """One port. ``start`` it, then ``url`` says where it is. ``around`` is given every whole request."""

    def __init__(
        self,
        app: web.Application,
        around: Around,
        address: ListenAddress,
        room: Room,
        warnings: Warnings,
        certificate: ServingCertificate | None = None,
        at_once: AnswersAtOnce | None = None,
    ) -> None:
        """``at_once`` answers plain requests before aiohttp sees them."""
        self._at_once = at_once
        self._certificate = certificate
        self._around = around
        self._address = address
        self._warnings = warnings
        self._runner = web.AppRunner(
            app,
            access_log=None if at_once is None else _log,
            access_log_class=Answered,
            keepalive_timeout=KEPT_SECONDS,
            logger=_log,
            shutdown_timeout=STOP_SECONDS,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )
        self._connections = Connections(ConnectionLimits(room.connections), self._full, self._eased)
        self._servers: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None
        self.url = ""
        self.is_loopback = False
        """Every address it is bound to is loopback."""

    async def start(self, needs_loopback: bool) -> None:
        """Bind and listen.

        Raises CommandFailed: the address can't be had, or ``needs_loopback`` and it isn't surely loopback.
        """
        hosts = await self._resolve()
        self.is_loopback = all(is_loopback(each) for each in hosts)
        if needs_loopback and not self.is_loopback:
            raise CommandFailed(self._not_loopback(hosts))
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        # Not a middleware: aiohttp looks at ``Expect`` before those, and answers some values with 500.
        answered = server.request_handler

        async def handle(request: Any) -> web.StreamResponse:
            return await self._around(request, answered)

        server.request_handler = handle
        loop = asyncio.get_running_loop()
        port, missing = self._address.port, None
        for host in hosts:
            try:
                made = await loop.create_server(
                    lambda: self._protocol(server),
                    host,
                    port,
                    backlog=BACKLOG,
                    reuse_port=self._address.is_shared or None,
                )
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and len(hosts) > 1:
                    missing = error  # localhost may name ::1 on a machine without IPv6
                    continue
                await self.stop()
                raise self._refused(error) from None
            self._servers.append(made)
            if not port:
                port = made.sockets[0].getsockname()[1]
        if not self._servers:
            await self._runner.cleanup()
            assert missing is not None
            raise self._refused(missing)
        scheme = "http" if self._certificate is None else "https"
        bound = self._servers[0].sockets[0].getsockname()
        self.url = base_url(bound[0], bound[1], scheme)
        self._watch = asyncio.create_task(self._connections.watch(), name="connections")

    async def stop(self) -> None:
        """No new connections; requests at work have ``STOP_SECONDS`` to end."""
        for each in self._servers:
            each.close()
        self._servers.clear()
        if self._watch is not None:
            self._watch.cancel()
        self._connections.close_waiting()
        await self._runner.cleanup()

    def _protocol(self, aiohttp: Callable[[], asyncio.Protocol]) -> asyncio.BaseProtocol:
        inner = aiohttp() if self._at_once is None else AtOnce(aiohttp, self._at_once)
        connection = Connection(inner, self._connections)
        return connection if self._certificate is None else TlsConnection(connection, self._certificate)

    async def _resolve(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                bare(self._address.host), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandFailed(f"{self._host_setting} = {self._address.host!r}: {reason}") from None
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    @property
    def _host_setting(self) -> str:
        return f"{self._address.section}.host"

    def _not_loopback(self, hosts: list[str]) -> str:
        means = "" if hosts == [self._address.host] else f", which is {', '.join(hosts)}"
        return (
            f"{self._host_setting} = {self._address.host!r}{means}: without API keys only this machine may "
            "connect. Give keys (http.api_keys or http.api_keys_file; `turnstile keys create --no-topic` "
            "makes one), or listen on 127.0.0.1"
        )

    def _refused(self, error: OSError) -> CommandFailed:
        host, port, setting = self._address.host, self._address.port, self._address.setting
        if error.errno == errno.EADDRINUSE:
            return PortTaken(
                f"{setting} = {port}: another process listens on {host}:{port}. Stop it, or choose another "
                f"port ({variable(setting)}); 0 takes any free one"
            )
        if error.errno == errno.EACCES:
            return CommandFailed(f"{setting} = {port}: this user may not listen on so low a port")
        reason = "this machine has no such address" if error.errno == errno.EADDRNOTAVAIL else error.strerror
        return CommandFailed(f"{self._host_setting} = {host!r}: {reason}")

    def _full(self) -> None:
        most = self._connections.limits.connections
        self._warnings.note(
            CONNECTIONS_FULL,
            self._address.setting,
            f"{most} connections are open, and there may be no more: for each new one, the one that has "
            "waited longest is closed (`ulimit -n` raises the number, up to a limit; docs/http.md)",
        )

    def _eased(self) -> None:
        self._warnings.clear(CONNECTIONS_FULL, self._address.setting)
