"""Records as the code reads and writes them are what the schemas of the messages say."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.deliver.content.bodies import body_maker, encode
from agents.deliver.content.messages import Original
from agents.deliver.contract.delivery import UserFacts
from agents.deliver.engine.dead_letters import dead_letter_headers as undelivered_headers
from agents.evaluate.dead_letters import OURS, dead_letter_headers, smaller_letters
from agents.evaluate.steps import DeadLetter
from agents.evaluate.transitions import encode_transition, transition_body
from agents.formats.native import read_record
from agents.formats.records import InputRecord
from agents.formats.refused import RecordRefused
from agents.kafka.consumed import Consumed
from app.asyncapi.document import asyncapi_of
from app.asyncapi.headers import LetterHeaders
from app.asyncapi.inputs import Profile, Track
from app.settings.tree import load_settings
from rules.state.identities import Claim
from rules.state.row import Transition, Trigger
from tables.claims import encode_claim, erased_headers
from tests.app.asyncapi.contract import Contract

CONTRACT = Contract(asyncapi_of(load_settings(environ={})))
TRIGGER = Trigger("buy", "e1", 1_000, b'{"price":1}')
ENTER = Transition("default", "big", "Big", 3, "ann", 1, 2_000, "event", TRIGGER, 2_000, 9_000)
EXIT = msgspec.structs.replace(ENTER, seq=2, cause="time", trigger=None, exit_at_ms=None)
BOUND = msgspec.structs.replace(ENTER, cause="backfill", entered_at_ms=1_000, entered_at_is_bound=True)
RECORD = Consumed("t", 1, 17, 5, b"k", b"value", [("trace", b"1"), ("error.code", b"old")])


def test_the_fields_of_input_records_are_those_of_the_reader() -> None:
    described = {*Track.__struct_fields__, *Profile.__struct_fields__}
    assert described == set(InputRecord.__struct_fields__)


NAMES = st.text("aé 7.", min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("aé 7", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
TIMES = st.sampled_from(["2026-11-22T01:02:03.456Z", "2026-11-22T01:02:03+01:00", 1_760_000_000, None])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "user_id": NAMES | st.sampled_from([None, "", 7]),
    "event": NAMES | st.none(),
    "type": st.sampled_from(["track", "profile", "sale"]),
    "id": st.none() | st.text("aé 7", max_size=5) | st.integers(),
    "project": st.sampled_from(["default", "shop_1", "a b", "", "ä"]),
    "time": TIMES,
    "properties": st.none() | st.dictionaries(NAMES, JSON, max_size=3) | st.just([]),
    "identities": st.none() | st.dictionaries(NAMES, st.text("aé 7", max_size=3), max_size=2),
    "set": st.none() | st.dictionaries(NAMES, JSON, max_size=2),
    "set_once": st.none() | st.dictionaries(NAMES, JSON, max_size=2),
    "append": st.none() | st.dictionaries(NAMES, st.lists(JSON, max_size=2), max_size=2),
    "unset_all": st.booleans(),
    "unset": st.none() | st.lists(NAMES, max_size=2),
    "add": st.none() | st.dictionaries(NAMES, st.integers(-5, 5) | st.floats(-1, 1), max_size=2),
    "unknown": JSON,
}


@given(st.fixed_dictionaries({}, optional=VALUES))
@example({"user_id": "", "event": "e"})
@example({"user_id": "u" * 513, "event": "e"})
@example({"user_id": 7, "event": "e", "id": 8, "properties": [], "identities": {"n": 9}})
@example({"user_id": "u", "event": ""})
@example({"user_id": "u"})
@example({"user_id": "u", "event": "e", "project": "a b"})
@example({"user_id": "u", "event": "e", "identities": {"": "x"}})
@example({"user_id": "u", "type": "profile", "append": {"tags": ["a"]}})
@example({"user_id": "u", "type": "profile", "append": {"tags": "a"}})
@example({"user_id": "u", "type": "profile", "unset_all": True})
@example({"user_id": "u", "type": "profile", "set": {"": 1}})
@example({"user_id": "u", "type": "profile", "unset": [""]})
@example({"user_id": "u", "type": "profile", "add": {"n": "1"}})
@example({"user_id": "u", "type": "profile", "set": []})
def test_what_the_schemas_allow_is_taken_and_what_is_taken_they_allow(record: dict[str, Any]) -> None:
    kind = "profile" if record.get("type") == "profile" else "track"
    why_not = CONTRACT.why_not_payload(kind, record)
    refusal = None
    try:
        read_record(json.dumps(record).encode())
    except RecordRefused as refused:
        refusal = refused.code
    # A schema says what a field may be, not that a profile update must have one of several.
    assert bool(why_not) is (refusal not in (None, "empty_update")), (why_not, refusal)


@pytest.mark.parametrize("transition", [ENTER, EXIT, BOUND])
def test_transitions(transition: Transition) -> None:
    value, headers = encode_transition(transition)
    assert CONTRACT.why_not_payload("transition", json.loads(value)) == []
    assert CONTRACT.why_not_headers("transition", headers) == []
    del (changed := json.loads(value))["seq"]
    assert CONTRACT.why_not_payload("transition", changed)


def test_claims_and_what_forgets_them() -> None:
    _, value = encode_claim(Claim("default", "email", "a@b.c", "ann", 2_000))
    assert CONTRACT.why_not_payload("claim", json.loads(value)) == []
    assert CONTRACT.why_not_payload("claim", {"unset": True})
    assert CONTRACT.why_not_headers("forgotten", erased_headers(2_000)) == []
    assert CONTRACT.messages_of("turnstile.identities") == ["claim", "forgotten"]


def test_dead_letters_in_every_form() -> None:
    letter = DeadLetter(RECORD, ("t", 1, 17), "not_json", "no", "decode")
    forms = [dead_letter_headers(letter), *(headers for _, _, headers in smaller_letters(letter))]
    assert len(forms) > 3
    seen: set[str] = set()
    for headers in forms:
        assert CONTRACT.why_not_headers("deadLetter", headers) == []
        seen |= {name for name, _ in headers}
    assert seen - {"trace"} == set(LetterHeaders.__struct_encode_fields__)
    assert set(LetterHeaders.__struct_encode_fields__) <= OURS
    strange = DeadLetter(RECORD, ("t", 1, 17), "no_such_code", "no", "decode")
    assert CONTRACT.why_not_headers("deadLetter", dead_letter_headers(strange))


@pytest.mark.parametrize(("code", "is_known"), [("http_400", True), ("gave_up", True), ("http_x", False)])
def test_dead_letters_of_destinations(code: str, is_known: bool) -> None:
    original = Original(b"ann", b"{}", [("ce_id", b"1")], 0, 5, 9)
    headers = undelivered_headers(original, "t", "crm", code, "no", 3)
    assert (CONTRACT.why_not_headers("undelivered", headers) == []) is is_known


@pytest.mark.parametrize("body", ["native", "segment", "lytics"])
@pytest.mark.parametrize("transition", [ENTER, EXIT, BOUND])
def test_bodies_of_destinations(body: Any, transition: Transition) -> None:
    make = body_maker(body, "crm", ["country"])
    facts = UserFacts({"country": "AU"}, {})
    value = encode(make([transition_body(transition)], "ann", facts))
    assert CONTRACT.why_not_payload(body, json.loads(value)) == []
