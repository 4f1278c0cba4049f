"""The SDK's client of one event hub: made when first asked for, kept across failures, replaced on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from azure.eventhub import EventHubConnectionStringProperties, parse_connection_string
from azure.eventhub.aio import EventHubProducerClient

from agents.deliver.definitions.destination import EventHub
from agents.deliver.definitions.hosts import Endpoint, HostPattern, NoHost, endpoint_of
from agents.deliver.definitions.parse_targets import AMQPS
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets.secrets import Secrets

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

CLOSING_SECONDS = 5.0
"""A client that hangs may hang in its closing, too."""
CANCEL_AGAIN_SECONDS = 0.1
AZURE = tuple(
    map(
        HostPattern.parse,
        (
            "*.servicebus.windows.net",
            "*.servicebus.chinacloudapi.cn",
            "*.servicebus.usgovcloudapi.net",
            "*.servicebus.cloudapi.de",
        ),
    )
)
"""Names below these belong to Azure, independent of the customer: global, China, US government, Germany."""

T = TypeVar("T")
Make = Callable[[], EventHubProducerClient]


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where a hub is: a connection string (a secret) with the hub's name, or a namespace."""

    hub: str
    connection_string: str | None = field(default=None, repr=False)
    namespace: str | None = None

    def client(self, credential: AsyncTokenCredential | None) -> EventHubProducerClient:
        """Retries are the engine's. The SDK sends twice all the same."""
        if self.connection_string is not None:
            try:
                return EventHubProducerClient.from_connection_string(
                    self.connection_string, eventhub_name=self.hub, retry_total=0
                )
            except ValueError as error:
                raise SinkMisconfigured(f"the connection string is wrong: {error}") from None
        assert self.namespace is not None
        assert credential is not None
        return EventHubProducerClient(
            fully_qualified_namespace=self.namespace,
            eventhub_name=self.hub,
            credential=credential,
            retry_total=0,
        )


def address_of(target: EventHub, secrets: Secrets, hosts: Sequence[HostPattern]) -> HubAddress:
    """Looks the secret up, so that a rotated one is found. Raises SinkMisconfigured.

    ``hosts``: where hubs may be beside Azure. An identity's token, or a signed one, goes to no other place.
    """
    if target.connection_string is None:
        assert target.hub is not None
        assert target.namespace is not None
        _check_host(target.namespace, hosts)
        return HubAddress(target.hub, namespace=target.namespace)
    text = secrets.get_for(
        target.connection_string, lambda text: [_check_host(_parsed(text, secrets)[0], hosts)]
    )
    host, parsed = _parsed(text, secrets)
    if _is_emulator(text) and not any(each.matches(endpoint_of(host, AMQPS)) for each in hosts):
        raise SinkMisconfigured(
            "the connection string has UseDevelopmentEmulator, which sends without TLS: "
            f"deliver.eventhub_hosts must have {host} for that"
        )
    for inside in (parsed.shared_access_key, parsed.shared_access_signature):
        if inside:
            secrets.hide(inside)
    if target.hub is not None and parsed.eventhub_name not in (None, target.hub):
        raise SinkMisconfigured(
            f"'hub' is {target.hub}, but the connection string is for {parsed.eventhub_name}"
        )
    hub = target.hub or parsed.eventhub_name
    if hub is None:
        raise SinkMisconfigured("no hub: neither 'hub' nor an EntityPath in the connection string")
    return HubAddress(hub, connection_string=text)


def _parsed(text: str, secrets: Secrets) -> tuple[str, EventHubConnectionStringProperties]:
    """The host of a connection string, and the rest of it. Raises SinkMisconfigured."""
    try:
        parsed = parse_connection_string(text)
    except ValueError as error:
        raise SinkMisconfigured(secrets.masked(f"the connection string is wrong: {error}")) from None
    return parsed.fully_qualified_namespace, parsed


def _is_emulator(text: str) -> bool:
    """As the SDK's client reads it: it minds the case of names elsewhere only."""
    return any(each.strip().lower() == "usedevelopmentemulator=true" for each in text.split(";"))


def _check_host(text: str, hosts: Sequence[HostPattern]) -> Endpoint:
    """Raises SinkMisconfigured for a host that isn't Azure's and isn't among ``hosts``."""
    try:
        if not text.isascii():
            raise NoHost(f"{text!r}: give an international name as xn--...")
        endpoint = endpoint_of(text, AMQPS)
    except NoHost as error:
        raise SinkMisconfigured(f"the event hub's address: {error}") from None
    if not any(each.matches(endpoint) for each in (*AZURE, *hosts)):
        raise SinkMisconfigured(
            f"{endpoint.host} is not an address of Azure Event Hubs ({', '.join(map(str, AZURE))}); "
            "the setting deliver.eventhub_hosts allows others"
        )
    return endpoint


@dataclass(slots=True, eq=False)
class _Held:
    client: EventHubProducerClient
    users: int = 0
    retired: bool = False


class Clients:
    """One client at a time for all who ask. A retired one is closed when its last user is done with it."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._current: _Held | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def call(self, work: Callable[[EventHubProducerClient], Coroutine[object, object, T]]) -> T:
        """What ``work`` makes of the current client; raises what it raises, and what making a client raises.

        A cancellation (a deadline, too) retires the client: it may hang for minutes in what was asked of it,
        with half a message in hand. It holds although the SDK may lose it (it reads with ``wait_for``, which
        in Python 3.11 gives its result instead where both come at once); ``work`` has then ended.
        """
        if self._current is None:
            self._current = _Held(self._make())
        held = self._current
        held.users += 1
        task = asyncio.create_task(work(held.client))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._retire(held)
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)
            raise
        finally:
            held.users -= 1
            if held.retired and not held.users:
                self._close_later(held)

    def renew(self) -> None:
        """The next to ask get a new client, made with what secrets are then."""
        held = self._current
        if held is not None:
            self._retire(held)
            if not held.users:
                self._close_later(held)

    async def close(self) -> None:
        """Never raises."""
        self.renew()
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _retire(self, held: _Held) -> None:
        held.retired = True
        if self._current is held:
            self._current = None

    def _close_later(self, held: _Held) -> None:
        task = asyncio.create_task(_close(held.client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(client: EventHubProducerClient) -> None:
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await client.close()
    except Exception:  # why it was closed is known; how its closing failed helps nobody
        return
