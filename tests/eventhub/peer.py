"""The stand-in as a whole: a listener, a hub, its credentials and the faults it was ordered to make."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from app.kafka.embedded import free_ports
from tests.eventhub.connection import PeerConnection
from tests.eventhub.credentials import Credentials
from tests.eventhub.faults import Faults
from tests.eventhub.store import Hub


@dataclass(eq=False)
class Peer:
    """`async with Peer() as peer:` listens on a free loopback port until the end of the block.

    It is no Azure: one hub, in memory, no consumer groups' offsets, no TLS (the SDK's emulator mode).
    """

    hub: Hub = field(default_factory=Hub)
    credentials: Credentials = field(default_factory=Credentials)
    faults: Faults = field(default_factory=Faults)
    port: int = 0
    connections: set[PeerConnection] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName={self.credentials.key_name};"
            f"SharedAccessKey={self.credentials.key};EntityPath={self.hub.name};UseDevelopmentEmulator=true"
        )

    async def start(self) -> None:
        """Listen; again on the same port after `stop`, with all that was stored."""
        self.port = self.port or free_ports(1)[0]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: PeerConnection(self), "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self.drop_all()
            await self._server.wait_closed()
            self._server = None
            await asyncio.sleep(0)

    def drop_all(self) -> None:
        for connection in list(self.connections):
            connection.drop()

    def close_idle(self) -> None:
        """Close every connection in order, as the service does with idle ones."""
        for connection in list(self.connections):
            connection.close_idle()

    def commit(self, publication: bytes, partition: int | None) -> None:
        self.hub.commit(publication, partition)
        loop = asyncio.get_running_loop()
        for connection in self.connections:
            loop.call_soon(connection.push_to_consumers)

    async def __aenter__(self) -> Peer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
