"""Bodies: what destinations get, field by field."""

from __future__ import annotations

import json

from agents.deliver.consumer.deliverer import HOLD_SECONDS
from agents.deliver.content.bodies import body_maker, encode, message_id, segment_id
from agents.deliver.content.grouping import Grouping
from agents.deliver.content.messages import read_transition
from agents.deliver.contract.delivery import UserFacts
from agents.evaluate.transitions import TransitionBody, encode_transition
from rules.state.row import Trigger
from tests.stage.delivery import START_MS, transition
from tests.stage.delivery_engine import message


def body_of(seq: int, audience: str = "a", **changed: object) -> TransitionBody:
    return read_transition(encode_transition(transition("u1", seq, audience, **changed))[0])


def made(body: str, *transitions: TransitionBody, user: UserFacts | None = None, sent: str = "u1") -> object:
    make = body_maker(body, "lake", ("email", "plan"))  # type: ignore[arg-type]
    return json.loads(encode(make(transitions, sent, user)))


def test_native_says_that_the_begin_of_a_stay_is_bound_and_nothing_otherwise() -> None:
    bound = body_of(1, entered_at_ms=START_MS, entered_at_is_bound=True)
    for sent in ("u1", "ann@example.com"):
        body = made("native", bound, sent=sent)
        assert isinstance(body, dict)
        assert (body["entered_at_is_bound"], body["user_id"]) == (True, sent)
    plain = made("native", body_of(1))
    assert isinstance(plain, dict)
    assert "entered_at_is_bound" not in plain


def test_lytics_says_since_when_the_user_is_known() -> None:
    attributes: dict[str, object] = {}
    for facts, wanted in (
        (UserFacts(attributes, {}, "2020-01-02T03:04:05.678Z"), "2020-01-02T03:04:05.678000000Z"),
        (UserFacts({"created_at": "1999"}, {}, "2020-01-02T03:04:05.678Z"), "1999"),
        (UserFacts(attributes, {}), "2026-09-21T14:14:20.000000000Z"),
        (None, "2026-09-21T14:14:20.000000000Z"),
    ):
        body = made("lytics", body_of(1), user=facts)
        assert isinstance(body, dict)
        assert body["data"]["_created"] == wanted


def test_lytics_says_when_the_user_changed_last() -> None:
    for facts, wanted in (
        (UserFacts({}, {}, None, "2026-09-21T14:20:00.123Z"), "2026-09-21T14:20:00.123000000Z"),
        (UserFacts({}, {}, None, "2026-09-21T14:14:19.999Z"), "2026-09-21T14:14:20.000000000Z"),
        (UserFacts({}, {}), "2026-09-21T14:14:20.000000000Z"),
        (None, "2026-09-21T14:14:20.000000000Z"),
    ):
        body = made("lytics", body_of(1), user=facts)
        assert isinstance(body, dict)
        assert body["data"]["_modified"] == wanted
        assert body["meta"]["timestamp"] == "2026-09-21T14:14:20.000000000Z"


def test_segment_tells_an_event_as_its_producer_would() -> None:
    trigger = Trigger("buy", "r1", START_MS, b'{"price":7.5}')
    event = body_of(3, trigger=trigger, destination="lake")
    assert made("segment", event, user=UserFacts({"plan": "gold"}, {})) == {
        "type": "track",
        "event": "buy",
        "messageId": event.id,
        "userId": "u1",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "properties": {"price": 7.5},
        "context": {"traits": {"plan": "gold"}},
    }


def test_lytics_is_the_message_of_the_lytics_export() -> None:
    user = UserFacts({"plan": "gold", "_created": "2016-06-29T18:50:16.902758229Z"}, {"email": "a@b.c"})
    leaves = body_of(2, "demo_segment")
    enters = body_of(1, "another_segment", at_ms=START_MS + 120_000, entered_at_ms=START_MS + 120_000)
    limited = body_of(3, "timed", exit_at_ms=START_MS + 999_123)
    assert made("lytics", leaves, enters, limited, user=user) == {
        "data": {
            "_created": "2016-06-29T18:50:16.902758229Z",
            "_modified": "2026-09-21T14:15:20.000000000Z",
            "email": "a@b.c",
            "plan": "gold",
            "user_id": "u1",
            "segment_events": [
                {
                    "id": segment_id("default", "demo_segment"),
                    "event": "exit",
                    "enter": "2026-09-21T14:14:20.000000000Z",
                    "exit": "2026-09-21T14:15:20.000000000Z",
                    "slug": "demo_segment",
                },
                {
                    "id": segment_id("default", "another_segment"),
                    "event": "enter",
                    "enter": "2026-09-21T14:15:20.000000000Z",
                    "exit": "2099-12-31T23:59:59Z",
                    "slug": "another_segment",
                },
                {
                    "id": segment_id("default", "timed"),
                    "event": "enter",
                    "enter": "2026-09-21T14:16:20.000000000Z",
                    "exit": "2026-09-21T14:29:59.123000000Z",
                    "slug": "timed",
                },
            ],
        },
        "meta": {
            "object": "user",
            "subscription_id": "570891cfb16b71376bfaad838fbe4f67",
            "timestamp": "2026-09-21T14:15:20.000000000Z",
        },
    }


def test_segment_is_a_track_call() -> None:
    enter = body_of(1)
    found = made("segment", enter, user=UserFacts({"plan": "gold"}, {}), sent="a@b.c")
    assert found == {
        "type": "track",
        "event": "Audience Entered",
        "messageId": enter.id,
        "userId": "a@b.c",
        "timestamp": enter.at,
        "properties": {
            "audience_key": "a",
            "audience_name": "A",
            "audience_version": 1,
            "project": "default",
            "cause": "event",
            "seq": 1,
            "entered_at": enter.at,
            "exit_at": None,
            "a": True,
        },
        "context": {"traits": {"plan": "gold"}},
    }
    assert made("segment", body_of(2))["event"] == "Audience Exited"  # type: ignore[index]


def test_native_is_the_transition_with_the_id_that_is_to_be_sent() -> None:
    value, _ = encode_transition(transition("u1", 1))
    assert made("native", body_of(1)) == json.loads(value)
    assert made("native", body_of(1), sent="a@b.c") == {**json.loads(value), "user_id": "a@b.c"}


def test_a_message_of_several_has_an_id_of_its_own() -> None:
    one, other = body_of(1), body_of(1, "b")
    ids = {message_id([one]), message_id([other]), message_id([one, other]), message_id([other, one])}
    assert len(ids) == 4
    assert message_id([one]) == one.id
    assert message_id([one, other]) == message_id([one, other])


def test_transitions_of_one_user_and_instant_are_one_message_also_over_the_end_of_a_poll() -> None:
    at = START_MS
    grouping = Grouping()
    work = [
        message(transition("u1", 1, "a", at_ms=at)),
        message(transition("u2", 1, "a", at_ms=at)),
        message(transition("u1", 1, "b", at_ms=at)),
        message(transition("u1", 2, "a", at_ms=at + 1)),
    ]
    fresh = [each for each in work if grouping.add(each) is not None]
    ready = grouping.end_poll(fresh)
    assert [(each.user_id, [t.audience for t in each.transitions]) for each in ready] == [
        ("u1", ["a", "b"]),
        ("u2", ["a"]),
    ]
    assert grouping.add(message(transition("u1", 2, "b", at_ms=at + 1))) is None
    assert grouping.end_poll([]) == []
    held = grouping.release()
    assert held is not None
    assert [t.audience for t in held.transitions] == ["a", "b"]
    assert HOLD_SECONDS < 0.1


def test_the_id_of_a_segment_event_is_the_segments_whoever_enters_it_and_however_often() -> None:
    ids = {
        segment_event["id"]
        for one in (body_of(1), body_of(2), body_of(3))
        for segment_event in made("lytics", one)["data"]["segment_events"]  # type: ignore[index]
    }
    assert ids == {segment_id("default", "a")}
    assert segment_id("default", "a") not in (segment_id("default", "b"), segment_id("other", "a"))
