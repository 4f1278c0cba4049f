"""What a destination gets of its existing members: which messages, with which instants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.deliver.content.bodies import body_maker, encode
from agents.deliver.content.messages import Message
from agents.deliver.members.entering import Entering
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from app.simulate.simulate import LineRecord
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.parse.definitions import load_definitions
from rules.time.instants import format_instant
from tables.codec import encode_row, row_key
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.stage.delivery import START_MS
from tests.stage.delivery_engine import destination

AUDIENCES = """
audiences:
  - {id: recent, name: Recent, rule: {event: buy, within: 1h}}
  - {id: buyers, name: Buyers, rule: {event: buy}}
  - {id: gold, name: Gold, rule: {attribute: plan, eq: gold}}
"""
LATER_MS = START_MS + 60_000
EXIT_MS = START_MS + 3_600_000
KEY = row_key("default", "ann")
HOOK = "{name: lake, kind: webhook, webhook: {url: 'https://a.example/x', %s}%s}"
LYTICS = ", body: lytics"


def published(version: int = 1) -> list[PublishedAudience]:
    return [PublishedAudience(each, version) for each in load_definitions([("test.yaml", AUDIENCES)])]


def row_of_ann() -> bytes:
    """She buys, and a minute later she is gold."""
    pipeline = Pipeline(Place(0, 1), Profiles(MemoryStore(), 100), Limits())
    pipeline.define(compile_rules(published()))
    bought = {"user_id": "ann", "event": "buy"}
    gold = {"type": "profile", "user_id": "ann", "set": {"plan": "gold"}}
    records = [
        LineRecord(0, START_MS, b"ann", json.dumps(bought).encode()),
        LineRecord(1, LATER_MS, b"ann", json.dumps(gold).encode()),
    ]
    pipeline.apply(records)
    row = pipeline.profiles.read(KEY)
    assert row is not None
    return encode_row(row)


def messages(text: str, version: int = 1) -> list[Message]:
    entering = Entering(destination(text), compile_rules(published(version)).project("default"))
    return entering.messages(KEY, row_of_ann(), 3)


def body(message: Message) -> Any:
    return json.loads(encode(body_maker("lytics", "lake", ())(message.transitions, "ann", None)))


def test_the_existing_memberships_of_a_user_are_one_lytics_message_the_latest_first() -> None:
    (message,) = messages(HOOK % ("", LYTICS))
    assert [each.audience for each in message.transitions] == ["gold", "recent", "buyers"]
    assert [each.partition for each in message.originals] == [3, 3, 3]
    found = body(message)
    assert found["data"]["_modified"] == found["meta"]["timestamp"] == nanoseconds(LATER_MS)
    assert [each["slug"] for each in found["data"]["segment_events"]] == ["gold", "recent", "buyers"]


def test_a_member_who_will_leave_by_time_says_when() -> None:
    (message,) = messages(HOOK % ("", LYTICS))
    exits = {each["slug"]: each["exit"] for each in body(message)["data"]["segment_events"]}
    assert exits == {
        "recent": nanoseconds(EXIT_MS),
        "buyers": "2099-12-31T23:59:59Z",
        "gold": "2099-12-31T23:59:59Z",
    }


def test_when_a_member_leaves_is_not_guessed_from_another_version_of_the_definition() -> None:
    (message,) = messages(HOOK % ("", LYTICS), version=2)
    assert {each.exit_at for each in message.transitions} == {None}


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (HOOK % ("query: {at: '${at}'}", LYTICS), [["buyers", "recent"], ["gold"]]),
        (HOOK % ("query: {a: '${audience}'}", LYTICS), [["buyers"], ["recent"], ["gold"]]),
        (HOOK % ("", ""), [["buyers"], ["recent"], ["gold"]]),
        (HOOK % ("", LYTICS + ", audiences: [recent, gold]"), [["gold", "recent"]]),
        (HOOK % ("", LYTICS + ", transitions: exit"), []),
    ],
)
def test_members_go_together_as_far_as_nothing_of_the_message_is_about_one_of_them(
    text: str, groups: list[list[str]]
) -> None:
    assert [[each.audience for each in one.transitions] for one in messages(text)] == groups


def test_what_was_sent_of_a_member_is_known_afterwards() -> None:
    rules = compile_rules(published()).project("default")
    for text, seq in ((HOOK % ("", ""), 1), (HOOK % ("", ", transitions: exit"), 0)):
        entering = Entering(destination(text), rules)
        assert entering.seq_sent(row_of_ann(), "ann", "gold") == seq
        assert entering.seq_sent(row_of_ann(), "ann", "other") == 0
        assert entering.seq_sent(None, "ann", "gold") == 0


def nanoseconds(at_ms: int) -> str:
    return f"{format_instant(at_ms)[:-1]}000000Z"
