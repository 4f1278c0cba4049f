"""What no client can send is a dead letter at once, for each kind of destination; all else is a bug."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from yarl import URL

from agents.deliver.contract.outcomes import Outcome, Rejected, Retry, Unknown
from agents.deliver.definitions.destination import Secret, Webhook
from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.definitions.parse import parse_destinations
from agents.deliver.engine import lane_tasks
from agents.deliver.errors import SinkMisconfigured, Unsendable
from agents.kafka.broker import Broker
from agents.sinks.eventhub.client import address_of
from agents.sinks.eventhub.sink import EventHubSink
from agents.sinks.kafka import errors as kafka_errors
from agents.sinks.webhook import errors as webhook_errors
from agents.sinks.webhook.requests import Head, RequestMaker
from tests.eventhub.deliveries import NAME, context, delivery, destination, secrets_of, sink_to
from tests.sinks.kafka.test_kafka_sink import keys_in, topic
from tests.stage.delivery import transition
from tests.stage.delivery_engine import lab, message, messages
from tests.stage.receiver import Receiver, receiver
from tests.stage.workers import until

if TYPE_CHECKING:
    from tests.eventhub.peer import Peer

HALF = "u\ud800"
CONTROLS = [chr(each) for each in (*range(1, 9), 11, 12, *range(14, 32), 127)]


def webhook(hook: Receiver, **target: object) -> str:
    return json.dumps({"name": "a", "kind": "webhook", "webhook": {"url": hook.url, **target}})


async def test_a_control_character_in_a_header_is_a_dead_letter_at_once_and_the_next_one_goes() -> None:
    async with receiver() as hook, lab(webhook(hook, headers={"X-Name": "${audience_name}"})) as made:
        bad = [transition(f"u{at}", 1, audience_name=f"a{each}b") for at, each in enumerate(CONTROLS)]
        await made.deliver(messages([*bad, *(transition(each.user_id, 2) for each in bad)]))
        assert {code for _, code, _ in made.buried} == {"invalid_header"}
        assert {each.user_id for each, _, _ in made.buried} == {each.user_id for each in bad}
        assert made.engine.report.retries == 0
        assert "the header X-Name can't hold the character U+0001" in [reason for _, _, reason in made.buried]
        assert len(hook.taken) == len(bad)


async def test_other_characters_arrive_as_utf_8_and_line_ends_as_spaces() -> None:
    async with receiver() as hook, lab(webhook(hook, headers={"X-Name": "${audience_name}"})) as made:
        await made.deliver([message(transition("u1", 1, audience_name="ü€😀\tb\r\nX: y\0z"))])
        assert hook.requests[0][0].headers["X-Name"] == "ü€😀\tb  X: y z"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"headers": {"X-U": "${user_id}"}}, "invalid_header"),
        ({"url": "https://x/${user_id}"}, "invalid_url"),
        ({"url": "https://x/?u=${user_id}"}, "invalid_url"),
        ({"query": {"u": "${user_id}"}}, "invalid_url"),
        ({"form": {"u": "${user_id}"}}, "invalid_text"),
        ({"json": {"u": "${user_id}"}}, "invalid_text"),
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_would_stand(
    target: dict[str, object], code: str
) -> None:
    maker = RequestMaker(Webhook(**{"url": "https://x/", **target}), secrets_of({}))  # type: ignore[arg-type]
    sent = msgspec.structs.replace(delivery("u1"), id_sent=HALF)
    with pytest.raises(Unsendable) as caught:  # noqa: PT012
        maker.head(sent)
        maker.body(sent)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "headers",
    [
        *({"a b": "x"}, {"": "x"}, {"X:": "x"}, {"X\n": "x"}, {"ü": "x"}, {"X": "a\x01"}, {"X": "a\nb"}),
        *({"Host": "evil.example"}, {"content-length": "1"}, {"Webhook-Id": "x"}, {"X": "1", "x": "2"}),
    ],
    ids=ascii,
)
def test_headers_that_could_never_be_sent_are_refused_when_they_are_written(headers: dict[str, str]) -> None:
    document = {"name": "a", "kind": "webhook", "webhook": {"url": "https://x/", "headers": headers}}
    _, problems = parse_destinations(json.dumps(document), "a.yaml")
    assert len(problems) == 1
    assert "header" in str(problems[0])


def test_a_secret_with_a_line_end_is_no_header() -> None:
    made = secrets_of({"S": "a-line\nand-another"}, "x")
    with pytest.raises(SinkMisconfigured, match="the header X has a control character"):
        RequestMaker(Webhook("https://x/", headers={"X": Secret("S")}), made)


KEY = aiohttp.client_reqrep.ConnectionKey("x", 443, True, True, None, None, None)
CLIENT_ERRORS: list[tuple[aiohttp.ClientError | OSError, type, str]] = [
    (aiohttp.InvalidURL("x"), Rejected, "invalid_url"),
    (aiohttp.InvalidUrlClientError("x"), Rejected, "invalid_url"),
    (aiohttp.NonHttpUrlClientError(URL("ftp://x")), Rejected, "invalid_url"),
    (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), Retry, "unreachable"),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no name")), Retry, "unreachable"),
    (aiohttp.ServerTimeoutError(), Unknown, "timeout"),
    (TimeoutError(), Unknown, "timeout"),
    (aiohttp.ServerDisconnectedError(), Unknown, "connection_broken"),
    (aiohttp.ClientPayloadError("x"), Unknown, "connection_broken"),
    (ConnectionResetError(), Unknown, "connection_broken"),
]


@pytest.mark.parametrize(("error", "kind", "code"), CLIENT_ERRORS, ids=lambda each: type(each).__name__)
def test_what_the_http_client_raises_is_told_apart(error: OSError, kind: type, code: str) -> None:
    outcome = webhook_errors.outcome_of(error, 1)
    assert (type(outcome), outcome.code) == (kind, code)


async def test_what_nobody_knows_is_a_bug_that_stops_the_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as hook, lab(webhook(hook)) as made:
        monkeypatch.setattr(lane_tasks, "GRACE_SECONDS", 0.1)
        monkeypatch.setattr(RequestMaker, "head", lambda *_: Head(hook.url, (("X", "a\x01"),)))
        assert await made.engine.put([message(transition("u1", 1))])
        await until(lambda: made.bugs, "it stops", 10)
        assert isinstance(made.bugs[0], ValueError)
        assert made.engine.report.state == "crashed"
        assert not made.buried


# -- Kafka -----------------------------------------------------------------------------------------------


async def test_an_audience_that_makes_no_name_of_a_topic_is_a_dead_letter_and_the_others_go(
    kafka: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}.in"
    async with topic(kafka, f"{name}.a"):
        text = f"{{name: a, kind: kafka, kafka: {{topic: '{name}.${{audience}}'}}}}"
        async with lab(text, broker=Broker(kafka)) as made:
            bad = [transition(f"u{at}", 1, each) for at, each in enumerate(("ü", "a b", "x" * 250, "a/b"))]
            await made.deliver(messages([*bad, *(transition(each.user_id, 2) for each in bad)]), 20)
            assert {(each.user_id, code) for each, code, _ in made.buried} == {
                (each.user_id, "invalid_topic") for each in bad
            }
            assert sorted(await keys_in(kafka, f"{name}.a")) == [each.user_id for each in bad]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (MessageSizeTooLargeError(), Rejected, "too_large"),
        (RecordListTooLargeError(), Rejected, "too_large"),
        (UnknownTopicOrPartitionError(), Retry, "no_topic"),
        (PolicyViolationError(), Retry, "not_supported"),
        (RequestTimedOutError(), Unknown, "kafka"),
        (Unsendable("invalid_text", "x"), Rejected, "invalid_text"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_kafka_answers_is_told_apart(error: KafkaError, kind: type, code: str) -> None:
    outcome: Outcome = kafka_errors.outcome_of(error, topic="segments.vip")
    assert isinstance(outcome, kind)
    assert code != "no_topic" or "'segments.vip'" in outcome.reason  # type: ignore[union-attr]
    assert outcome.code == code  # type: ignore[union-attr]
    with pytest.raises(ZeroDivisionError):
        kafka_errors.outcome_of(ZeroDivisionError())


# -- Event Hub -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_an_event_hub_can_never_take_is_refused_by_itself(peer: Peer) -> None:
    sink = sink_to(peer.connection_string, partitioning="key")
    try:
        await sink.open()
        half = msgspec.structs.replace(delivery("u3"), id_sent=HALF)
        outcomes = await sink.send(0, [delivery("x" * 129), delivery("x" * 128), half, delivery("u1")])
    finally:
        await sink.close()
    assert [getattr(each, "code", "delivered") for each in outcomes] == [
        *("invalid_key", "delivered", "invalid_text", "delivered")
    ]
    stored = {event.id for events in peer.hub.events() for event in events}
    assert stored == {delivery("x" * 128).id, delivery("u1").id}


SAS = "SharedAccessKeyName=n;SharedAccessKey=c3RhbmQtaW4tZm9yLXRlc3Rz;EntityPath=h"


def event_hubs(*hosts: str, endpoint: str = "", more: str = "", **target: object) -> EventHubSink:
    allowed = tuple(map(HostPattern.parse, hosts))
    if target:
        return EventHubSink(
            destination(connection_string=None, hub="h", **target), context({}, eventhub_hosts=allowed)
        )
    text = f"Endpoint={endpoint};{SAS}{more}"
    secrets = secrets_of({NAME: text}, "*.servicebus.windows.net", "*.example", "localhost")
    return EventHubSink(destination(), context({}, eventhub_hosts=allowed, secrets=secrets))


def refused() -> Iterator[tuple[EventHubSink, str]]:
    for host in (
        *(
            "evil.example",
            "servicebus.windows.net",
            "xservicebus.windows.net",
            "x.servicebus.windows.net.evil.example",
        ),
        *(
            "x.servicebus.windows.net@evil.example",
            "evil.example/x.servicebus.windows.net",
            "x.servicebus.windows.com",
        ),
        *("evil.example#.servicebus.windows.net", "169.254.169.254", "evil.example?x.servicebus.windows.net"),
    ):
        yield event_hubs(namespace=host), "event hub|Event Hubs"
        yield event_hubs(endpoint=f"sb://{host}/"), "event hub|Event Hubs"
    yield event_hubs("good.example", namespace="evil.example"), "not an address of Azure Event Hubs"
    emulator = ";UseDevelopmentEmulator=true"
    azure = "sb://x.servicebus.windows.net/"
    yield event_hubs(endpoint=azure, more=emulator), "UseDevelopmentEmulator"
    yield event_hubs(endpoint=azure, more=emulator.lower()), "UseDevelopmentEmulator"
    yield event_hubs("x.other", endpoint="sb://x.other/"), "may be sent to .*, not to x.other"


@pytest.mark.parametrize(("sink", "says"), list(refused()))
async def test_no_token_goes_to_a_host_that_is_not_azures_or_allowed(sink: EventHubSink, says: str) -> None:
    with pytest.raises(SinkMisconfigured, match=says):
        await sink.open()
    await sink.close()


@pytest.mark.parametrize(
    "host",
    [
        *("x.servicebus.windows.net", "X.ServiceBus.Windows.NET", "x.servicebus.chinacloudapi.cn"),
        *(
            "x.servicebus.usgovcloudapi.net",
            "x.servicebus.cloudapi.de",
            "hub.private.example",
            "other.example",
        ),
    ],
)
def test_azures_own_hosts_and_those_of_the_setting_are_allowed(host: str) -> None:
    hosts = tuple(map(HostPattern.parse, ("*.private.example", "other.example")))
    target = dataclasses.replace(destination().target, connection_string=None, namespace=host, hub="h")  # type: ignore[type-var]
    assert address_of(target, secrets_of({}), hosts).namespace == host  # type: ignore[arg-type]
