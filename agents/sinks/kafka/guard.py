"""Connections of Kafka destinations: to which brokers, checked on the very address that is connected to.

A cluster says itself which brokers it has, so the definition's ``bootstrap`` is not all that is dialled: each
connection is checked, also for whether the secrets of the definition may be sent there, before a byte of
Kafka's protocol goes over it. The service's own cluster is not guarded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import conn as aiokafka_conn
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

from agents.deliver.definitions.hosts import Endpoint, NoHost, canonical_host
from agents.deliver.errors import SinkMisconfigured
from agents.sinks.addresses.guard import AddressNotAllowed, check_address

Allow = Callable[[Endpoint], None]
"""Raises SinkMisconfigured where the definition's secrets may not be sent to an endpoint."""


class BrokerRefused(OSError):
    """A broker isn't one that the secrets may be sent to."""


class KafkaGuard:
    """What a destination's connections must pass. ``refusal``: why the last one that didn't was refused."""

    def __init__(self, allow: Allow, allow_private: bool) -> None:
        self._allow = allow
        self._allow_private = allow_private
        self.refusal: AddressNotAllowed | BrokerRefused | None = None

    async def check(self, host: str, port: int) -> None:
        """Before a broker is dialled. Raises AddressNotAllowed, BrokerRefused."""
        try:
            if not host.isascii():
                raise NoHost(f"{host!r}: a resolver may read it as another name")
            self._allow(Endpoint(canonical_host(host), port))
        except (SinkMisconfigured, NoHost) as error:
            self.refusal = BrokerRefused(str(error))
            raise self.refusal from None
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return  # the client meets that, too, and says so
        for *_, where in found:
            self.check_address(str(where[0]))

    def check_address(self, address: str) -> None:
        """Raises AddressNotAllowed."""
        try:
            check_address(address, self._allow_private)
        except AddressNotAllowed as error:
            self.refusal = error
            raise


class _Connection(AIOKafkaConnection):  # type: ignore[misc]
    guard: KafkaGuard

    async def connect(self) -> Any:
        await self.guard.check(self.host, self.port)
        return await super().connect()

    async def _do_version_lookup(self) -> None:
        # The first that is done with a connection. A name may have been resolved again in between.
        self.guard.check_address(str(self._writer.get_extra_info("peername")[0]))
        await super()._do_version_lookup()


def guarded_create_conn(guard: KafkaGuard) -> Any:
    """aiokafka's ``create_conn`` with guarded connections."""
    kind = type("GuardedConnection", (_Connection,), {"guard": guard})
    return _with(aiokafka_conn.create_conn, AIOKafkaConnection=kind)


def guard_producer(producer: AIOKafkaProducer, guard: KafkaGuard) -> None:
    """Have a producer that isn't started yet make guarded connections only."""
    _guard_client(producer.client, guard)


def guard_consumer(consumer: AIOKafkaConsumer, guard: KafkaGuard) -> None:
    """Have a consumer that isn't started yet make guarded connections only."""
    _guard_client(consumer._client, guard)


def _guard_client(client: Any, guard: KafkaGuard) -> None:
    create_conn = guarded_create_conn(guard)
    made = {name: _with(getattr(AIOKafkaClient, name), create_conn=create_conn) for name in _CONNECTING}
    client.__class__ = type("GuardedClient", (AIOKafkaClient,), made)


_CONNECTING: Final = ("bootstrap", "_get_conn")
"""The methods of aiokafka's client that make connections; it has no way to give it other ones."""


def _with(function: Any, **names: Any) -> Any:
    """The function as if its module had other things under these names."""
    missing = names.keys() - set(function.__code__.co_names)
    if missing:
        raise AssertionError(f"aiokafka's {function.__qualname__} doesn't use {missing}: it can't be guarded")
    made = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made
