from __future__ import annotations

import json

from msgspec.structs import replace

from agents.evaluate.transitions import encode_transition, transition_id
from rules.state.row import Transition, Trigger

T = 1_700_000_000_123
ENTER = Transition(
    "shop", "buyers", "Buyers é", 3, "ann 🎉", 5, T, "event", Trigger("buy", "r1", T - 1), T, T + 1
)
EXIT = Transition("shop", "buyers", "Buyers", 3, "ann", 6, T + 7, "time", None, T, None)


def test_an_enter_is_written_as_the_contract_says() -> None:
    value, headers = encode_transition(ENTER)
    body = json.loads(value)
    assert list(body.items()) == [
        ("id", transition_id("shop", "buyers", "ann 🎉", 5)),
        ("event", "enter"),
        ("project", "shop"),
        ("audience", "buyers"),
        ("audience_name", "Buyers é"),
        ("audience_version", 3),
        ("user_id", "ann 🎉"),
        ("seq", 5),
        ("at", "2023-11-14T22:13:20.123Z"),
        ("cause", "event"),
        ("trigger", {"event": "buy", "id": "r1", "time": "2023-11-14T22:13:20.122Z"}),
        ("entered_at", "2023-11-14T22:13:20.123Z"),
        ("exit_at", "2023-11-14T22:13:20.124Z"),
    ]
    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", body["id"].encode()),
        ("ce_type", b"turnstile.audience.enter"),
        ("ce_source", b"/turnstile/shop"),
        ("ce_subject", "ann 🎉".encode()),
        ("ce_time", b"2023-11-14T22:13:20.123Z"),
        ("content-type", b"application/json"),
    ]


def test_the_properties_of_the_event_go_along_in_a_header() -> None:
    trigger = Trigger("buy", "r1", T, b'{"price":5}')
    _, headers = encode_transition(replace(ENTER, trigger=trigger))
    assert dict(headers)["trigger.properties"] == b'{"price":5}'


def test_an_exit_tells_the_stay_and_no_trigger() -> None:
    value, headers = encode_transition(EXIT)
    body = json.loads(value)
    assert (body["event"], body["trigger"], body["exit_at"]) == ("exit", None, None)
    assert (body["entered_at"], body["at"]) == ("2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.130Z")
    assert dict(headers)["ce_type"] == b"turnstile.audience.exit"


def test_a_stay_may_have_begun_before_its_enter_and_that_may_be_a_bound() -> None:
    value, _ = encode_transition(replace(ENTER, entered_at_ms=T - 60_000, entered_at_is_bound=True))
    body = json.loads(value)
    assert (body["entered_at"], body["at"]) == ("2023-11-14T22:12:20.123Z", "2023-11-14T22:13:20.123Z")
    assert body["entered_at_is_bound"] is True


def test_an_id_is_a_function_of_project_audience_user_and_seq_and_is_pinned() -> None:
    assert transition_id("default", "buyers", "ann", 1) == "902f87c8e78b9e1bb1d72421f9d86a29"
    ids = {transition_id(p, a, u, s) for p in "xy" for a in ("a", "aa") for u in ("u", "1") for s in (1, 11)}
    assert len(ids) == 16
