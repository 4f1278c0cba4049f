"""`turnstile deliver` to an event hub: random faults and kills; the engine on the sink in an outage."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agents.deliver.content.messages import Message, Original
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.engine import Engine
from agents.evaluate.transitions import encode_transition, transition_body
from agents.sinks.eventhub import errors as eventhub_errors
from agents.sinks.eventhub.sink import EventHubSink
from tests.eventhub.deliveries import NAME, context, destination, secrets_of
from tests.eventhub.faults import HubFault
from tests.eventhub.fixtures import SDK_LEAKS
from tests.stage.delivery import DelivererProcess, declared, many, scene
from tests.stage.workers import until

if TYPE_CHECKING:
    from tests.eventhub.peer import Peer

pytestmark = SDK_LEAKS

TRANSITIONS, USERS = 20_000, 1_000
KILL_AT = (4_000, 12_000)
FAULTS = (
    [HubFault.DROP_BEFORE_COMMIT] * 5
    + [HubFault.DROP_AFTER_COMMIT] * 5
    + [HubFault.DETACH] * 4
    + [HubFault.NEVER_ACKED] * 2
    + [HubFault.SERVER_BUSY] * 2
    + [HubFault.SLOW] * 3
)
LAKE = f"""
destinations:
- name: lake
  kind: eventhub
  rate: 5000
  retry: {{first: 200ms, most: 1s}}
  eventhub: {{connection_string: {{secret: {NAME}}}, timeout: 6s, batch: 200}}
"""


def seen_by_a_consumer(peer: Peer) -> Iterator[tuple[int, str | None, dict[str, Any]]]:
    for partition, events in enumerate(peer.hub.events()):
        for event in events:
            yield partition, event.id, json.loads(event.body)


def check(peer: Peer, sent: list[dict[str, Any]]) -> int:
    """All are there, each user in one partition in order, repeats equal to the first; how many repeats."""
    expected = {each["id"]: each for each in sent}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    where: dict[str, int] = {}
    repeats = 0
    for partition, ident, body in seen_by_a_consumer(peer):
        assert ident == body["id"]
        assert body == expected[body["id"]]
        user = body["user_id"]
        assert where.setdefault(user, partition) == partition
        if body["id"] in first:
            repeats += 1
            continue
        first[body["id"]] = partition
        assert last.get(user, 0) == body["seq"] - 1
        last[user] = body["seq"]
    assert first.keys() == expected.keys()
    return repeats


class Arrivals:
    """Ids at the peer. It shares our event loop, so each event is decoded once only, a few at a time."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._next = [0] * peer.hub.count
        self.ids: set[str | None] = set()

    def are(self, ids: set[str]) -> bool:
        for partition, stored in enumerate(self._peer.hub.partitions):
            fresh = stored[self._next[partition] : self._next[partition] + 1_000]
            self._next[partition] += len(fresh)
            self.ids.update(each.event().id for each in fresh)
        return self.ids >= ids


async def misconfigured(deliverer: DelivererProcess) -> bool:
    found = await deliverer.status("lake")
    return found["state"] == "misconfigured" and len(found["partitions"]) == 4


@pytest.mark.slow
async def test_random_faults_and_kills_lose_nothing_and_keep_order(
    broker: str, topic_prefix: str, tmp_path: Path, peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scene(broker, topic_prefix, tmp_path) as stage:
        await stage.define(LAKE)
        deliverer = stage.deliverer(worker__id="d1", deliver__secrets=declared(NAME))
        deliverer.secrets[NAME] = peer.connection_string
        # Without rights it says so, and sends when they are there.
        peer.faults.for_good(HubFault.AUTH_REFUSED)
        deliverer.start()
        await until(lambda: misconfigured(deliverer), "lake is misconfigured", 30, [deliverer])
        sent = await stage.send(many(TRANSITIONS, users=USERS))
        status = json.dumps(await deliverer.status("lake"))
        deliverer.kill()
        peer.faults.heal()

        peer.faults.scatter(FAULTS, sends=90, seed=random.randrange(1_000_000))
        for gap in (6, 5):
            peer.faults.order(HubFault.AUTH_REFUSED, after=gap)
        deliverer.start()
        for total in KILL_AT:
            await until(lambda total=total: peer.hub.total() >= total, f"{total} are there", 60, [deliverer])
            deliverer.kill()
            deliverer.start()
        ids = {each["id"] for each in sent}
        arrivals = Arrivals(peer)
        await until(lambda: arrivals.are(ids), "all are there", 90, [deliverer])

        async def no_lag() -> bool:
            found = await deliverer.status("lake")
            return bool(found["lag"] == 0 and found["dead_letters"] == 0)

        await until(no_lag, "all is committed", 30, [deliverer])
        status += json.dumps(await deliverer.status("lake"))
        deliverer.end()
        repeats = check(peer, sent)
        with capsys.disabled():
            done = ", ".join(f"{n} {fault.name.lower()}" for fault, n in peer.faults.happened.items())
            print(f"\n{TRANSITIONS} transitions, {len(KILL_AT)} kills, {done}: {repeats} repeats")
        text = status + deliverer.log()
        for topic in await stage.admin.list_topics():
            if topic.startswith(topic_prefix):
                text += repr(await stage.read(topic))
        assert peer.credentials.key not in text


class RunningEngine:
    """An engine on the sink, without Kafka."""

    def __init__(self, peer: Peer, in_flight: int) -> None:
        secrets = secrets_of({NAME: peer.connection_string})
        lake = destination(timeout_ms=2_500, batch=20)
        self.lake = type(lake)(lake.name, lake.target, retry=RetryPolicy(first_ms=20, most_ms=100))
        sink = EventHubSink(self.lake, context({NAME: peer.connection_string}))
        self.buried: list[Message] = []
        self.bugs: list[BaseException] = []
        self.engine = Engine(self.lake, sink, secrets, None, self.bury, self.bugs.append, in_flight)

    async def bury(self, message: Message, _code: str, _reason: str) -> None:
        self.buried.append(message)


def messages(count: int, users: int) -> list[Message]:
    made = []
    for offset, transition in enumerate(many(count, users)):
        value, headers = encode_transition(transition)
        original = Original(transition.user_id.encode(), value, headers, 0, offset, transition.at_ms)
        body = transition_body(transition)
        made.append(Message(transition.user_id, (body,), (original,), 0, offset))
    return made


@pytest.mark.slow
async def test_an_outage_of_one_partition_makes_no_dead_letters(peer: Peer) -> None:
    running = RunningEngine(peer, in_flight=20)
    await running.engine.open()
    sent = messages(200, users=50)
    for _ in range(10):
        peer.faults.order(HubFault.DETACH, partition=0)
    putting = asyncio.create_task(running.engine.put(sent))
    await asyncio.wait_for(putting, 60)
    assert await asyncio.wait_for(running.engine.drained(), 60)
    assert (running.buried, running.bugs) == ([], [])
    assert {event.id for events in peer.hub.events() for event in events} == {
        message.transitions[0].id for message in sent
    }
    await running.engine.close()


async def test_refused_rights_are_an_alert_until_they_are_back(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventhub_errors, "BUSY_SECONDS", 0.2)
    running = RunningEngine(peer, in_flight=60)
    await running.engine.open()
    peer.drop_all()
    peer.faults.for_good(HubFault.AUTH_REFUSED)
    await running.engine.put(messages(1, users=1))
    async with asyncio.timeout(60):
        while running.engine.report.state != "misconfigured":
            await asyncio.sleep(0.02)
        assert "InvalidSignature" in str(running.engine.report.last_error)
        peer.faults.heal()
        assert await running.engine.drained()
    assert running.engine.report.state == "running"
    await running.engine.close()
