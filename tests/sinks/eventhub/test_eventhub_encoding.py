"""Deliveries as AMQP messages: what is encoded directly is what the SDK would have made."""

from __future__ import annotations

from typing import Any

import pytest
from azure.eventhub import EventDataBatch
from hypothesis import given
from hypothesis import strategies as st

from agents.deliver.contract.delivery import Delivery
from agents.deliver.definitions.parse import load_destinations
from agents.sinks.eventhub import events as eventhub_events
from agents.sinks.eventhub.events import add, attributes, encoded, event_of
from rules.parse.problems import DefinitionsInvalid
from tests.eventhub.deliveries import delivery, transition

texts = st.text(st.characters(codec="utf-8"), max_size=300)


def by_the_sdk(sent: Delivery, size: int = 1_000_000) -> Any:
    batch = EventDataBatch(max_size_in_bytes=size, partition_id="0")
    batch.add(event_of(sent))
    return batch


@given(ident=texts, subject=texts, body=st.binary(max_size=700))
def test_any_delivery_is_encoded_as_the_sdk_does(ident: str, subject: str, body: bytes) -> None:
    made = Delivery(ident, "u", subject, (transition("u"),), body, 0, 0)
    theirs = by_the_sdk(made)
    ours: Any = EventDataBatch(max_size_in_bytes=1_000_000, partition_id="0")
    assert add(ours, made)
    assert encoded(made) == bytes(theirs._message[5][0]) == bytes(ours._message[5][0])
    assert (ours.size_in_bytes, len(ours)) == (theirs.size_in_bytes, len(theirs))


@pytest.mark.parametrize("body_bytes", [50, 200, 255, 256, 5_000])
def test_a_batch_takes_exactly_as_much_as_the_sdk_allows(body_bytes: int) -> None:
    sent = delivery("u", body=b"x" * body_bytes)
    exact = by_the_sdk(sent).size_in_bytes
    assert add(EventDataBatch(max_size_in_bytes=exact, partition_id="0"), sent)
    assert not add(EventDataBatch(max_size_in_bytes=exact - 1, partition_id="0"), sent)


def test_another_encoding_in_the_sdk_means_its_own_add_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventhub_events, "encoded", lambda _: b"otherwise")
    eventhub_events._direct.cache_clear()
    try:
        batch: Any = EventDataBatch(max_size_in_bytes=10_000, partition_id="0")
        sent = delivery("u")
        assert add(batch, sent)
        assert bytes(batch._message[5][0]) == bytes(by_the_sdk(sent)._message[5][0])
        assert not add(EventDataBatch(max_size_in_bytes=50, partition_id="0"), sent)
    finally:
        monkeypatch.undo()
        eventhub_events._direct.cache_clear()
    assert eventhub_events._direct()


def test_the_installed_sdk_encodes_as_we_do() -> None:
    assert eventhub_events._direct()


def test_cloudevents_attributes_of_one_transition() -> None:
    sent = delivery("u1")
    assert attributes(sent) == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": sent.id,
        "cloudEvents:type": "turnstile.audience.enter",
        "cloudEvents:source": "/turnstile/default",
        "cloudEvents:subject": "u1",
        "cloudEvents:time": "2026-11-22T01:02:03.456Z",
    }


@pytest.mark.parametrize(("events", "kind"), [(("exit", "exit"), "exit"), (("enter", "exit"), "change")])
def test_several_transitions_in_one_message_are_a_change_unless_all_go_one_way(
    events: tuple[str, str], kind: str
) -> None:
    moves = tuple(transition("u1", event=event, audience=event + str(at)) for at, event in enumerate(events))
    sent = Delivery("id", "u1", "u1", moves, b"{}", 0, 0)
    assert attributes(sent)["cloudEvents:type"] == f"turnstile.audience.{kind}"
    assert bytes(by_the_sdk(sent)._message[5][0]) == encoded(sent)


@pytest.mark.parametrize(("timeout", "fine"), [("4999ms", False), ("5s", True)])
def test_a_timeout_leaves_room_for_opening_a_link(timeout: str, fine: bool) -> None:
    text = f"{{name: a, kind: eventhub, eventhub: {{connection_string: {{secret: A}}, timeout: {timeout}}}}}"
    if fine:
        assert len(load_destinations([("a.yaml", text)])) == 1
    else:
        with pytest.raises(DefinitionsInvalid, match="at least 5s"):
            load_destinations([("a.yaml", text)])
