"""One AMQP connection: proton's engine between an asyncio transport and the nodes of the stand-in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proton import (
    Collector,
    Condition,
    Connection,
    Event,
    Link,
    Transport,
    TransportException,
)

from tests.eventhub.links import ConsumerLink, HubLink, PublisherLink, RequestLink, node_for
from tests.eventhub.wire import Padder

if TYPE_CHECKING:
    from tests.eventhub.peer import Peer

MAX_FRAME_BYTES = 65_536
"""As Azure's."""


class PeerConnection(asyncio.Protocol):
    """Bytes in, events of the engine, bytes out. Nodes change links; `flush` sends what came of it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._nodes: dict[str, HubLink] = {}
        self._padder = Padder()
        self._engine = Transport(mode=Transport.SERVER)
        self._engine.max_frame_size = MAX_FRAME_BYTES
        sasl = self._engine.sasl()
        sasl.allowed_mechs("ANONYMOUS")
        self._connection = Connection()
        self._connection.container = "event-hub-stand-in"
        self._events = Collector()
        self._connection.collect(self._events)
        self._engine.bind(self._connection)
        self._transport: asyncio.Transport | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer.connections.add(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        while data and self._transport is not None:
            room = self._engine.capacity()
            if room <= 0:
                self.drop()
                return
            try:
                self._engine.push(data[:room])
            except TransportException:
                self.drop()
                return
            data = data[room:]
            self._handle_events()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._nodes.clear()
        self.peer.connections.discard(self)

    # the nodes' side

    @property
    def open(self) -> bool:
        return self._transport is not None

    def drop(self) -> None:
        """Cut, without a word."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def close_idle(self) -> None:
        """As the service does after some minutes without traffic."""
        self._connection.condition = Condition(
            "amqp:connection:forced", "The connection was inactive for too long.", {"by": "stand-in"}
        )
        self._connection.close()
        self.flush()

    def answer(self, session: object, address: str, message: object) -> None:
        """Send on the response link that the same session attached at this node."""
        for node in self._nodes.values():
            if isinstance(node, RequestLink) and node.responds(session, address):
                node.link.send(message)
        self.flush()

    def flush(self) -> None:
        self._handle_events()
        if self._transport is None:
            return
        while (pending := self._engine.pending()) > 0:
            out = self._engine.peek(pending)
            if out is None:
                break
            self._engine.pop(len(out))
            self._transport.write(self._padder.feed(bytes(out)))
            self._handle_events()
        if self._engine.pending() < 0:
            self._transport.close()

    # the engine's side

    def _handle_events(self) -> None:
        while self._transport is not None and (event := self._events.peek()) is not None:
            self._handle(event)
            self._events.pop()

    def _handle(self, event: Event) -> None:
        kind = event.type
        if kind == Event.CONNECTION_REMOTE_OPEN:
            self._connection.open()
        elif kind == Event.CONNECTION_REMOTE_CLOSE:
            self._connection.close()
        elif kind == Event.SESSION_REMOTE_OPEN:
            event.session.open()
        elif kind == Event.SESSION_REMOTE_CLOSE:
            event.session.close()
        elif kind == Event.LINK_REMOTE_OPEN:
            self._attach(event.link)
        elif kind in (Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH):
            self._nodes.pop(event.link.name, None)
            event.link.close()
        elif kind == Event.DELIVERY:
            node = self._nodes.get(event.link.name)
            if isinstance(node, (PublisherLink, RequestLink)):
                node.delivery(event.delivery)
        elif kind == Event.LINK_FLOW:
            node = self._nodes.get(event.link.name)
            if isinstance(node, ConsumerLink):
                node.push()

    def _attach(self, link: Link) -> None:
        node = node_for(self, link)
        if node is None:
            return
        self._nodes[link.name] = node
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        link.max_message_size = self.peer.hub.max_message_bytes
        link.open()
        if link.is_receiver:
            link.flow(300)

    def push_to_consumers(self) -> None:
        """New events are there."""
        for node in list(self._nodes.values()):
            if isinstance(node, ConsumerLink):
                node.push()
        self.flush()
