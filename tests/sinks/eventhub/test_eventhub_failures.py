"""Each fault of an event hub, ordered at the stand-in: what the sink says, and that it works afterwards."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import DELIVERED, Outcome, Rejected, Retry, Unknown
from agents.deliver.contract.sink import lane_of
from agents.deliver.definitions.destination import Destination, EventHub, Secret
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.secrets.secrets import Secrets
from agents.sinks.eventhub import client as eventhub_client
from agents.sinks.eventhub import errors as eventhub_errors
from agents.sinks.eventhub import publisher as eventhub
from agents.sinks.eventhub.sink import EventHubSink
from tests.eventhub.credentials import Credentials
from tests.eventhub.deliveries import NAME, context, delivery, destination, sink_to
from tests.eventhub.faults import SEND, HubFault
from tests.eventhub.fixtures import SDK_LEAKS

if TYPE_CHECKING:
    from tests.eventhub.peer import Peer

pytestmark = [SDK_LEAKS, pytest.mark.slow]

BEFORE, ONE = delivery("u1", 0), delivery("u1")


@asynccontextmanager
async def opened(peer: Peer, **target: Any) -> AsyncIterator[EventHubSink]:
    sink = sink_to(peer.connection_string, **target)
    try:
        await sink.open()
        yield sink
    finally:
        await sink.close()


async def send(sink: EventHubSink, *sent: Delivery) -> Sequence[Outcome]:
    return await sink.send(lane_of(sent[0].user_id, 4), sent)


def ids(peer: Peer) -> list[str | None]:
    return [event.id for events in peer.hub.events() for event in events]


LASTING = [
    (HubFault.SERVER_BUSY, Retry, "server_busy", 4.0),
    (HubFault.QUOTA, Retry, "resource_limit_exceeded", 4.0),
    (HubFault.DROP_BEFORE_COMMIT, Unknown, "connection", None),
    (HubFault.DROP_AFTER_COMMIT, Unknown, "connection", None),
    (HubFault.DETACH, Unknown, "connection", None),
    (HubFault.NEVER_ACKED, Unknown, "timeout", None),
    (HubFault.HUB_MISSING, Retry, "hub_missing", 4.0),
    (HubFault.ATTACH_REFUSED, Retry, "unauthorized", 4.0),
    (HubFault.AUTH_REFUSED, Retry, "unauthorized", 4.0),
    (HubFault.AUTH_SILENT, Unknown, "timeout", None),
]
PASSING = {
    HubFault.DROP_BEFORE_COMMIT: 1,
    HubFault.DROP_AFTER_COMMIT: 2,
    HubFault.SERVER_BUSY: 1,
    HubFault.SLOW: 1,
}
"""With the copies that are stored of a message then."""


@pytest.mark.slow
# Most of the time of these goes by in the SDK's own pauses: each has a stand-in of its own, at the same time.
async def test_a_lasting_fault_is_told_without_a_secret_and_the_same_message_goes_after_it(
    new_peer: Callable[[], Awaitable[Peer]], caplog: pytest.LogCaptureFixture
) -> None:
    async def meet(fault: HubFault, code: str) -> tuple[Outcome, list[Outcome], set[str | None]]:
        peer = await new_peer()
        async with opened(peer, timeout_ms=60_000) as sink:
            await send(sink, BEFORE)  # so that the link is there already
            patient_s = sink._publisher._deadline_s
            if code == "timeout":
                sink._publisher._deadline_s = 5.0
            if fault not in SEND:
                peer.drop_all()
            peer.faults.for_good(fault)
            (outcome,) = await send(sink, ONE)
            peer.faults.heal()
            sink._publisher._deadline_s = patient_s
            return outcome, list(await send(sink, ONE)), set(ids(peer))

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="azure")  # which may have a level of its own by now
    met = await asyncio.gather(*(meet(fault, code) for fault, _, code, _ in LASTING))
    for (fault, kind, code, pause_s), (outcome, after, stored) in zip(LASTING, met, strict=True):
        assert isinstance(outcome, kind), fault
        assert isinstance(outcome, (Retry, Unknown))
        assert (outcome.code, outcome.retry_after_s, outcome.whole) == (code, pause_s, True), fault
        assert outcome.reason
        assert (after, stored) == ([DELIVERED], {ONE.id, BEFORE.id}), fault
    logged = caplog.text + "".join(repr(vars(each)) for each in caplog.records) + repr(met)
    assert "azure.eventhub" in logged
    for secret in (Credentials().key, "SharedAccessSignature", "sig="):
        assert secret not in logged


async def test_a_passing_fault_is_the_sdks_own_affair(new_peer: Callable[[], Awaitable[Peer]]) -> None:
    other = delivery("u1", 2)

    async def meet(fault: HubFault) -> tuple[list[Outcome], list[str | None]]:
        peer = await new_peer()
        async with opened(peer) as sink:
            assert await send(sink, ONE) == [DELIVERED]
            peer.faults.order(fault)
            return list(await send(sink, other)), ids(peer)

    met = await asyncio.gather(*map(meet, PASSING))
    for (fault, copies), found in zip(PASSING.items(), met, strict=True):
        assert found == ([DELIVERED], [ONE.id] + [other.id] * copies), fault


async def test_a_hub_that_hangs_holds_a_send_no_longer_than_its_deadline(peer: Peer) -> None:
    async with opened(peer, timeout_ms=4_000) as sink:
        peer.faults.for_good(HubFault.AUTH_SILENT)
        began = time.monotonic()
        (outcome,) = await send(sink, ONE)
        assert time.monotonic() - began < 30.0
        assert outcome == Unknown("timeout", "no answer within 4 s", whole=True)
        peer.faults.heal()
        assert await send(sink, ONE) == [DELIVERED]


async def test_what_comes_after_a_failed_publication_isnt_sent(peer: Peer) -> None:
    async with opened(peer, max_batch_bytes=4_000) as sink:
        sent = [delivery("u1", seq, body=b'"' + b"x" * 1_500 + b'"') for seq in range(1, 7)]
        peer.faults.order(HubFault.SERVER_BUSY, times=2, after=1)
        outcomes = await send(sink, *sent)
    assert outcomes[:2] == [DELIVERED, DELIVERED]
    assert all(isinstance(each, Retry) and each.code == "server_busy" for each in outcomes[2:])
    assert ids(peer) == [each.id for each in sent[:2]]


async def test_with_keys_a_user_behind_a_failure_isnt_sent_either(peer: Peer) -> None:
    async with opened(peer, partitioning="key") as sink:
        sent = [delivery(user, seq) for seq in (1, 2) for user in ("u1", "u2", "u3")]
        peer.faults.order(HubFault.SERVER_BUSY, times=2, after=1)
        outcomes = await sink.send(0, sent)
    assert [isinstance(each, Retry) for each in outcomes] == [False, True, True, False, True, True]
    assert ids(peer) == [sent[0].id, sent[3].id]


async def test_a_publication_that_the_hub_finds_too_large_is_halved(peer: Peer) -> None:
    async with opened(peer) as sink:
        peer.hub.max_message_bytes = 5_000  # not what the link said
        sent = [delivery("u1", seq, body=b'"' + b"x" * 1_500 + b'"') for seq in range(1, 9)]
        assert set(await send(sink, *sent)) == {DELIVERED}
        (outcome,) = await send(sink, delivery("u1", 9, body=b'"' + b"x" * 6_000 + b'"'))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "too_large"
    assert ids(peer) == [each.id for each in sent]


async def test_a_link_that_was_closed_for_idleness_costs_no_pause(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventhub, "IDLE_SECONDS", 0.0)
    async with opened(peer) as sink:
        assert await send(sink, ONE) == [DELIVERED]
        peer.close_idle()
        await asyncio.sleep(0.1)
        assert await send(sink, delivery("u1", 2)) == [DELIVERED]


async def test_a_cancelled_send_leaves_the_sink_usable(peer: Peer) -> None:
    async with opened(peer) as sink:
        peer.faults.order(HubFault.NEVER_ACKED)
        task = asyncio.create_task(send(sink, ONE))
        while not peer.faults.happened[HubFault.NEVER_ACKED]:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await send(sink, ONE, delivery("u1", 2)) == [DELIVERED, DELIVERED]
    assert ids(peer) == [ONE.id, ONE.id, delivery("u1", 2).id]


async def test_a_cancellation_the_sdk_loses_holds_all_the_same(peer: Peer) -> None:
    """As ``wait_for`` of Python 3.11 loses it: a frame came in the same instant, and the work goes on."""
    lost = 0

    async def lose(client: EventHubProducerClient) -> None:
        nonlocal lost
        while lost < 3:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            lost += 1
        await client.get_partition_ids()
        await asyncio.sleep(60)

    clients = eventhub_client.Clients(
        lambda: EventHubProducerClient.from_connection_string(peer.connection_string)
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await clients.call(lose)
    assert lost == 3
    await clients.close()


async def test_lanes_dont_wait_for_each_other(peer: Peer) -> None:
    async with opened(peer) as sink:
        peer.faults.slow_s = 1.0
        peer.faults.order(HubFault.SLOW, partition=0)
        slow = asyncio.create_task(sink.send(0, [ONE]))
        for at in range(20):
            assert await sink.send(1, [delivery("u2", at)]) == [DELIVERED]
        assert not slow.done()
        assert await slow == [DELIVERED]


async def test_a_hub_that_is_away_is_unavailable_until_it_is_back(peer: Peer) -> None:
    await peer.stop()
    sink = sink_to(peer.connection_string)
    with pytest.raises(SinkUnavailable, match="Connect call failed"):
        await sink.open()
    await peer.start()
    assert (await sink.open()).count == 4
    await sink.close()


async def test_a_hub_that_doesnt_answer_is_unavailable(peer: Peer) -> None:
    peer.faults.for_good(HubFault.AUTH_SILENT)
    sink = sink_to(peer.connection_string, timeout_ms=1_000)
    with pytest.raises(SinkUnavailable, match="didn't answer within 1 s"):
        await sink.open()
    await sink.close()


@pytest.mark.parametrize(
    ("change", "target", "says"),
    [
        (("SharedAccessKey=c3Rh", "SharedAccessKey=d3Rh"), {}, "InvalidSignature"),
        (("EntityPath=audiences", "EntityPath=elsewhere"), {}, "404"),
        (("EntityPath=audiences;", ""), {}, "neither 'hub' nor an EntityPath"),
        (("EntityPath", "EntityPath"), {"hub": "other"}, "'hub' is other, but .* is for audiences"),
        (("Endpoint=", "Start="), {}, "the connection string is wrong"),
        (("", ""), {"connection_string": Secret("NOT_SET")}, "NOT_SET"),
    ],
    ids=["wrong_key", "no_such_hub", "no_hub", "two_hubs", "malformed", "no_secret"],
)
async def test_what_needs_a_change_is_misconfigured(
    peer: Peer, change: tuple[str, str], target: dict[str, Any], says: str
) -> None:
    text = peer.connection_string.replace(*change)
    sink = sink_to(text, **target)
    with pytest.raises(SinkMisconfigured, match=says) as raised:
        await sink.open()
    await sink.close()
    key = text.partition("SharedAccessKey=")[2].partition(";")[0]
    assert key not in str(raised.value)


async def test_a_rotated_key_is_found_after_a_refusal(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventhub_errors, "BUSY_SECONDS", 0.1)
    environ = {NAME: peer.connection_string}
    sink = EventHubSink(destination(), context(environ))
    await sink.open()
    assert await send(sink, ONE) == [DELIVERED]
    old, new = peer.credentials.key, "bmV3LWtleS1vZi10aGUtc3RhbmQtaW4tMDEyMzQ1Njc="
    peer.credentials = type(peer.credentials)(key=new)
    peer.drop_all()
    pauses: list[float] = []
    for _ in range(2):
        (outcome,) = await send(sink, ONE)
        assert isinstance(outcome, Retry)
        assert outcome.code == "unauthorized"
        pauses.append(outcome.retry_after_s or 0.0)
    assert pauses[0] == 0.1 < pauses[1]
    environ[NAME] = environ[NAME].replace(old, new)
    assert await send(sink, ONE) == [DELIVERED]
    await sink.close()


@pytest.mark.slow
@pytest.mark.parametrize(("refused_s", "pause_s"), [(0.0, 4.0), (3.0, 4.0), (30.0, 30.0), (500.0, 60.0)])
def test_pauses_grow_while_rights_are_missing(refused_s: float, pause_s: float) -> None:
    outcome = eventhub_errors.outcome_of(AuthenticationError("no"), Secrets(), refused_s)
    assert isinstance(outcome, Retry)
    assert (outcome.retry_after_s, outcome.needs_change) == (pause_s, True)


class Identity:
    """An Azure identity that has one token."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.scopes: set[str] = set()
        self.closed = False

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.scopes.update(scopes)
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self) -> None:
        self.closed = True


async def test_an_azure_identity_instead_of_a_connection_string(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in has no TLS; a namespace's name alone would ask for it.
    plain = functools.partial(EventHubProducerClient, use_tls=False)
    monkeypatch.setattr(eventhub_client, "EventHubProducerClient", plain)
    identity = Identity(peer.credentials.bearer)
    target = EventHub(namespace=f"localhost:{peer.port}", hub=peer.hub.name, timeout_ms=20_000)
    sink = EventHubSink(Destination("lake", target), context({}), credential=lambda: identity)
    await sink.open()
    assert await send(sink, ONE) == [DELIVERED]
    await sink.close()
    assert all(each.startswith("https://eventhubs.azure.net/") for each in identity.scopes)
    assert identity.scopes
    assert identity.closed
    identity.token = "no good"
    with pytest.raises(SinkMisconfigured, match="401"):
        await sink.open()
    await sink.close()


async def test_a_test_send_shows_the_request_and_the_answer(peer: Peer) -> None:
    shown: list[dict[str, Any]] = []
    sink = EventHubSink(destination(), context({NAME: peer.connection_string}, trace=shown.append))
    await sink.open()
    await send(sink, ONE)
    await sink.close()
    (request,) = shown
    assert (request["message_id"], request["body"], request["outcome"]) == (
        ONE.id,
        ONE.body.decode(),
        "delivered",
    )
