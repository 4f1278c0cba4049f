"""The Event Hub sink on the real SDK. With TURNSTILE_TEST_EVENTHUB these run against Azure."""

from __future__ import annotations

import json
import uuid

import pytest

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import DELIVERED, Rejected
from agents.deliver.contract.sink import lane_of
from tests.eventhub.deliveries import delivery, sink_to
from tests.eventhub.reading import Read, ReadableHub

pytestmark = pytest.mark.slow


def fresh(count: int, each: int = 1) -> list[Delivery]:
    """Of users that no run before had."""
    run = uuid.uuid4().hex[:8]
    return [delivery(f"{run}-{user}", seq) for seq in range(1, each + 1) for user in range(count)]


async def send_all(hub: ReadableHub, sent: list[Delivery], **target: object) -> list[object]:
    """Through a new sink, each to its lane; outcomes in the order of `sent`."""
    sink = sink_to(hub.connection_string, timeout_ms=20_000, **target)
    outcomes: dict[int, object] = {}
    try:
        lanes = await sink.open()
        for lane in range(lanes.count):
            mine = [each for each in sent if lane_of(each.user_id, lanes.count) == lane]
            if mine:
                got = await sink.send(lane, mine)
                outcomes |= {id(each): outcome for each, outcome in zip(mine, got, strict=True)}
    finally:
        await sink.close()
    return [outcomes[id(each)] for each in sent]


def only(read: list[Read], sent: list[Delivery]) -> list[Read]:
    ids = {each.id for each in sent}
    return [each for each in read if each.id in ids]


async def test_a_message_has_id_body_content_type_and_cloudevents_attributes(event_hub: ReadableHub) -> None:
    sent = fresh(1)
    assert await send_all(event_hub, sent) == [DELIVERED]
    (read,) = only(await event_hub.read(1), sent)
    assert read.id == json.loads(read.body)["id"] == sent[0].id
    assert read.body == sent[0].body
    assert read.content_type == "application/json"
    assert read.properties == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": sent[0].id,
        "cloudEvents:type": "turnstile.audience.enter",
        "cloudEvents:source": "/turnstile/default",
        "cloudEvents:subject": sent[0].user_id,
        "cloudEvents:time": "2026-11-22T01:02:03.456Z",
    }


async def test_a_user_is_in_one_partition_in_order(event_hub: ReadableHub) -> None:
    sent = fresh(40, each=5)
    assert set(await send_all(event_hub, sent)) == {DELIVERED}
    read = only(await event_hub.read(len(sent)), sent)
    for user in {each.user_id for each in sent}:
        mine = [each for each in read if each.properties["cloudEvents:subject"] == user]
        assert len({each.partition for each in mine}) == 1
        assert [each.id for each in mine] == [each.id for each in sent if each.user_id == user]
    assert len({each.partition for each in read}) > 1


async def test_with_partition_keys_the_key_is_the_user_id(event_hub: ReadableHub) -> None:
    sent = fresh(12, each=3)
    assert set(await send_all(event_hub, sent, partitioning="key")) == {DELIVERED}
    read = only(await event_hub.read(len(sent)), sent)
    for user in {each.user_id for each in sent}:
        mine = [each for each in read if each.partition_key == user]
        assert [each.id for each in mine] == [each.id for each in sent if each.user_id == user]
        assert len({each.partition for each in mine}) == 1


async def test_what_fits_no_message_is_refused_and_the_others_go(event_hub: ReadableHub) -> None:
    before, after = fresh(1)[0], fresh(1)[0]
    huge = delivery(before.user_id, 2, body=b'"' + b"x" * 2_000_000 + b'"')
    outcomes = await send_all(event_hub, [before, huge, after])
    assert outcomes[0] == outcomes[2] == DELIVERED
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].code == "too_large"
    assert "2000002 bytes" in outcomes[1].reason
    assert {each.id for each in only(await event_hub.read(2), [before, huge, after])} == {before.id, after.id}


async def test_a_batch_larger_than_a_publication_goes_in_several(event_hub: ReadableHub) -> None:
    sent = [delivery(uuid.uuid4().hex, body=b'"' + b"y" * 30_000 + b'"') for _ in range(20)]
    assert set(await send_all(event_hub, sent, max_batch_bytes=100_000)) == {DELIVERED}
    assert len(only(await event_hub.read(len(sent)), sent)) == len(sent)
