"""What a link ends at: a request node, a publisher of the hub or of one partition, a consumer."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from proton import Condition, Delivery, Link, Message, Terminus, symbol

from tests.eventhub.faults import HubFault
from tests.eventhub.requests import management, put_token
from tests.eventhub.store import KEY_ANNOTATION

if TYPE_CHECKING:
    from tests.eventhub.connection import PeerConnection

CBS, MANAGEMENT = "$cbs", "$management"
BY = {"by": "stand-in"}
"""The `info` of errors must not be empty: the SDK reads it by position."""

_POSITION = re.compile(r"amqp\.annotation\.x-opt-(offset|sequence-number) (>=?) '(-?\d+|@latest)'")

REJECTIONS = {
    HubFault.SERVER_BUSY: (
        "com.microsoft:server-busy",
        "The request was terminated: the entity is throttled.",
    ),
    HubFault.QUOTA: ("amqp:resource-limit-exceeded", "The quota of the entity was exceeded."),
}
REFUSALS = {
    HubFault.HUB_MISSING: ("amqp:not-found", "The messaging entity could not be found."),
    HubFault.ATTACH_REFUSED: (
        "amqp:unauthorized-access",
        "Unauthorized access. 'Send' claim(s) are required.",
    ),
}


class RequestLink:
    """One half of a request/response pair: `delivery` takes requests, the other half is sent on."""

    def __init__(self, connection: PeerConnection, link: Link, address: str) -> None:
        self.link = link
        self._connection = connection
        self._address = address

    def responds(self, session: object, address: str) -> bool:
        return self.link.is_sender and self._address == address and self.link.session == session

    def delivery(self, delivery: Delivery) -> None:
        if not self.link.is_receiver or not delivery.readable or delivery.partial:
            return
        request = Message()
        request.decode(self.link.recv(delivery.pending))
        self.link.advance()
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        self.link.flow(1)
        peer = self._connection.peer
        if self._address == CBS:
            fault = peer.faults.on_put_token()
            if fault is HubFault.AUTH_SILENT:
                return
            answer = put_token(request, peer.credentials, refused=fault is HubFault.AUTH_REFUSED)
        else:
            answer = management(request, peer.hub)
        self._connection.answer(self.link.session, self._address, answer)


class PublisherLink:
    """Takes publications for one partition, or (None) for the one that the hub chooses."""

    def __init__(self, connection: PeerConnection, link: Link, partition: int | None) -> None:
        self.link = link
        self._connection = connection
        self._partition = partition

    def delivery(self, delivery: Delivery) -> None:
        if not delivery.readable or delivery.partial:
            return
        publication = self.link.recv(delivery.pending)
        self.link.advance()
        peer = self._connection.peer
        if len(publication) > peer.hub.max_message_bytes:
            self._reject(
                delivery,
                "amqp:link:message-size-exceeded",
                f"The message of {len(publication)} bytes is larger than {peer.hub.max_message_bytes}.",
            )
            return
        fault = peer.faults.on_send(self._partition)
        if fault is HubFault.DROP_BEFORE_COMMIT:
            self._connection.drop()
        elif fault in REJECTIONS:
            self._reject(delivery, *REJECTIONS[fault])
        elif fault is HubFault.DETACH:
            self.link.condition = Condition("amqp:link:detach-forced", "The link was detached.", BY)
            self.link.close()
        else:
            peer.commit(publication, self._partition)
            if fault is HubFault.DROP_AFTER_COMMIT:
                self._connection.drop()
            elif fault is HubFault.SLOW:
                asyncio.get_running_loop().call_later(peer.faults.slow_s, self._accept_later, delivery)
            elif fault is not HubFault.NEVER_ACKED:
                self._accept(delivery)

    def _accept(self, delivery: Delivery) -> None:
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        self.link.flow(1)

    def _accept_later(self, delivery: Delivery) -> None:
        if self._connection.open:
            self._accept(delivery)
            self._connection.flush()

    def _reject(self, delivery: Delivery, condition: str, description: str) -> None:
        delivery.local.condition = Condition(condition, description, BY)
        delivery.update(Delivery.REJECTED)
        delivery.settle()
        self.link.flow(1)


class ConsumerLink:
    """Sends one partition's events from a position on, as far as the reader gave credit."""

    def __init__(self, connection: PeerConnection, link: Link, partition: int) -> None:
        self._link = link
        self._stored = connection.peer.hub.partitions[partition]
        self._next = position(link, len(self._stored))

    def push(self) -> None:
        while self._link.credit > 0 and self._next < len(self._stored):
            stored = self._stored[self._next]
            message = stored.message()
            message.inferred = True
            annotations = {
                symbol("x-opt-sequence-number"): self._next,
                symbol("x-opt-offset"): str(self._next),
                symbol("x-opt-enqueued-time"): stored.enqueued_ms,
            }
            if stored.partition_key is not None:
                annotations[symbol(KEY_ANNOTATION)] = stored.partition_key
            message.annotations = annotations
            self._link.send(message)
            self._next += 1


HubLink = RequestLink | PublisherLink | ConsumerLink


def node_for(connection: PeerConnection, link: Link) -> HubLink | None:
    """The node a new link asks for; None when it was refused."""
    terminus = link.remote_target if link.is_receiver else link.remote_source
    address = terminus.address or ""
    if address in (CBS, MANAGEMENT):
        return RequestLink(connection, link, address)
    peer = connection.peer
    hub, _, rest = unquote(urlparse(address).path).lstrip("/").partition("/")
    where = rest.split("/")
    fault: HubFault | None = None
    if hub != peer.hub.name:
        fault = HubFault.HUB_MISSING
    elif link.is_receiver:
        partition = int(where[1]) if where[0] == "Partitions" else None
        fault = peer.faults.on_attach(partition)
        if fault is None:
            return PublisherLink(connection, link, partition)
    elif where[0] == "ConsumerGroups" and where[2] == "Partitions":
        return ConsumerLink(connection, link, int(where[3]))
    # As the service: an attach without a terminus, then a detach with the reason.
    link.source.type = link.target.type = Terminus.UNSPECIFIED
    link.open()
    link.condition = Condition(*REFUSALS[fault or HubFault.HUB_MISSING], BY)
    link.close()
    return None


def position(link: Link, end: int) -> int:
    """Index of the first event to send, from the reader's selector."""
    given = link.remote_source.filter
    given.rewind()
    text = str(given.get_object()) if given.next() else ""
    found = _POSITION.search(text)
    if found is None:
        return 0
    _, operator, value = found.groups()
    if value == "@latest":
        return end
    return max(0, int(value) + (operator == ">"))
