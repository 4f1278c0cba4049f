"""Every kind of bad record is one dead letter with its code, and harms nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.evaluate.dead_letters import dead_letter_headers
from agents.evaluate.steps import Limits
from tests.driver.driver import EVENTS, Driver

BUYERS = """
audiences:
  - {id: buyers, name: Buyers, rule: {event: buy}}
  - {id: locals, name: Locals, rule: {attribute: country, eq: US}}
"""
T = 1_700_000_000_000


def event(**fields: Any) -> bytes:
    return json.dumps({"user_id": "ann", "event": "buy"} | fields).encode()


def with_property(text: str) -> bytes:
    return b'{"user_id":"ann","event":"buy","properties":{"p":%s}}' % text.encode()


def profile(text: str) -> bytes:
    return b'{"type":"profile","user_id":"ann",%s}' % text.encode()


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD: dict[str, tuple[bytes | None, str]] = {
    "no value": (None, "null_value"),
    "an empty value": (b"", "not_json"),
    "a cut value": (b'{"user_id":', "not_json"),
    "something after the value": (event() + b" x", "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf" + event(), "not_json"),
    "NaN": (with_property("NaN"), "not_json"),
    "Infinity": (with_property("-Infinity"), "not_json"),
    "bytes that are not UTF-8": (b'{"user_id":"a\xff","event":"buy"}', "not_utf8"),
    "UTF-16": (event().decode().encode("utf-16"), "not_json"),
    "null": (b"null", "invalid"),
    "an empty list": (b"[]", "empty_batch"),
    "a list of numbers": (b"[1]", "invalid"),
    "a fraction for a user": (event(user_id=7.5), "invalid"),
    "true for a user": (event(user_id=True), "invalid"),
    "a number of 5,000 digits for a user": (event()[:-1] + b',"user_id":' + b"9" * 5000 + b"}", "invalid"),
    "appending text": (profile('"append":{"l":"a"}'), "invalid"),
    "unsetting all but not": (profile('"unset_all":1'), "invalid"),
    "a string": (b'"ann"', "invalid"),
    "no user": (b'{"event":"buy"}', "invalid"),
    "an unknown type": (event(type="alias"), "invalid"),
    "properties that are an array": (event(properties=[1]), "invalid"),
    "true for a time": (event(time=True), "invalid"),
    "an empty user id": (event(user_id=""), "user_id"),
    "a NUL in the user id": (event(user_id="an\0n"), "user_id"),
    "a long user id": (event(user_id="a" * 513), "user_id"),
    "no event": (b'{"user_id":"ann"}', "event"),
    "an empty event": (event(event=""), "event"),
    "a long event": (event(event="b" * 513), "event"),
    "a long id": (event(id="i" * 513), "id"),
    "a project that is no name": (event(project="a b"), "project"),
    "an identity without a name": (event(identities={"": "x"}), "identities"),
    "a long identity": (event(identities={"email": "x" * 513}), "identities"),
    "a time that is none": (event(time="yesterday"), "time"),
    "a time after the year 9999": (event(time=10**18), "time"),
    "a time without end": (event(time=1e300), "time"),
    "33 levels": (with_property(deep(32)), "too_deep"),
    "100,000 levels": (with_property(deep(100_000)), "too_deep"),
    "100,000 unread levels": (event()[:-1] + b',"x":' + deep(100_000).encode() + b"}", "too_deep"),
    "a megabyte": (event(properties={"p": "x" * (1 << 20)}), "too_large"),
    "an update of nothing": (profile('"set":{}'), "empty_update"),
    "an attribute without a name": (profile('"set":{"":1}'), "attribute"),
    "a long attribute to unset": (profile(f'"unset":["{"a" * 513}"]'), "attribute"),
    "adding text": (profile('"add":{"n":"1"}'), "invalid"),
    "adding true": (profile('"add":{"n":true}'), "invalid"),
    "unsetting a number": (profile('"unset":[1]'), "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_is_one_dead_letter_and_its_neighbours_are_unharmed(what: str) -> None:
    value, code = BAD[what]
    driver = Driver(BUYERS)
    driver.send(event(user_id="bob"), T)
    bad = driver.send(value, T + 1, key=b"k", headers=[("trace", b"1")])
    driver.send(event(user_id="cy"), T + 2)
    driver.run()
    (letter,) = driver.dead
    assert (letter.code, letter.record, letter.origin) == (code, bad, (EVENTS, 0, 1))
    headers = dict(dead_letter_headers(letter))
    assert headers["trace"] == b"1"
    assert headers["error.code"] == code.encode()
    assert headers["source.offset"] == b"1"
    assert len(headers["error.message"]) <= 4000
    assert [(each["user_id"], each["audience"]) for each in driver.transitions] == [
        ("bob", "buyers"), ("cy", "buyers")
    ]  # fmt: skip
    assert driver.members("ann", T + 9) == {}


def test_all_bad_records_in_one_batch_are_a_dead_letter_each() -> None:
    driver = Driver(BUYERS)
    for value, _ in BAD.values():
        driver.send(value, T)
        driver.send(event(), T)
    driver.run()
    assert driver.codes() == [code for _, code in BAD.values()]
    assert len(driver.transitions) == 1


GOOD = {
    "32 levels": with_property(deep(31)),
    "the largest integers": with_property(f"[{2**63 - 1},{-(2**63)}]"),
    "integers beyond 64 bits": with_property(f"[{2**64},{-(2**63) - 1},{2**63}]"),
    "a huge integer within": with_property('[{"x":' + "9" * 400 + "}]"),
    "a float out of range": with_property("1e400"),
    "a lone surrogate in a property": with_property(r'"\ud800"'),
    "an empty array for properties": event(properties=[]),
    "a number for an id": event(id=7),
    "a number for an identity": event(identities={"email": 7}),
    "a pair of surrogates": with_property(r'"🎉"'),
    "a NUL in a property": with_property(r'"\u0000"'),
    "unknown fields": event(context={"ip": "::1"}),
    "a null for what is optional": event(id=None, time=None, properties=None, identities=None),
    "the first instant of all": event(time="0001-01-01T00:00:00Z"),
    "epoch seconds": event(time=1_700_000_000),
    "the same name twice": b'{"user_id":"ann","event":"x","event":"buy"}',
    "white space": b" \n" + event() + b"\t ",
}


@pytest.mark.parametrize("what", GOOD)
def test_a_strange_but_good_record_counts(what: str) -> None:
    driver = Driver(BUYERS)
    driver.pipe(GOOD[what], T)
    assert (driver.codes(), set(driver.members("ann", T))) == ([], {"buyers"})


def test_numbers_are_ids_by_their_decimal_digits() -> None:
    driver = Driver(BUYERS)
    for user_id in (b"7", b'"7"', b"7.0", b"12345678901234567890123"):
        driver.pipe(b'{"event":"buy","user_id":%s}' % user_id, T)
    driver.pipe({"type": "profile", "user_id": 8, "set": {"country": "US"}}, T)
    assert driver.codes() == []
    assert [each["user_id"] for each in driver.transitions] == ["7", "12345678901234567890123", "8"]


def test_what_does_not_fit_is_kept_as_well_as_it_can_be() -> None:
    values = {"large": 2**64, "small": -(2**64), "huge": "9" * 400, "text": "a\ud800"}
    tests = {
        "large": {"gte": 1.8e19},
        "small": {"lt": -1.8e19},
        "huge": {"gt": 1e308},
        "text": {"eq": "a\ufffd"},
    }
    rules = [{"id": name, "name": name, "rule": {"attribute": name, **test}} for name, test in tests.items()]
    driver = Driver(json.dumps({"audiences": rules}))
    body = json.dumps({"type": "profile", "user_id": "ann", "set": values})
    driver.pipe(body.replace('"' + "9" * 400 + '"', "9" * 400).encode(), T)
    assert set(driver.members("ann", T)) == set(tests)
    driver.profile("ann", T, add={"large": 2**70})
    assert (driver.codes(), set(driver.members("ann", T))) == ([], set(tests))


@pytest.mark.parametrize("timestamp", [253_402_300_800_000, 2**62, 2**63 - 1])
def test_a_record_timestamp_after_the_year_9999_is_refused_and_moves_no_clock(timestamp: int) -> None:
    driver = Driver(BUYERS)
    driver.pipe(event(), timestamp)
    driver.pipe(event(user_id="bob"), T)
    assert driver.codes() == ["timestamp"]
    assert driver.story("bob") == [("enter", "buyers", "2023-11-14T22:13:20.000Z", "event")]
    assert driver.pipeline.stream_time_ms == T


@pytest.mark.parametrize("timestamp", [-1, -(2**63), 0])
def test_a_record_without_a_timestamp_happens_now(timestamp: int) -> None:
    driver = Driver("{id: recent, name: Recent, rule: {event: buy, within: 1h}}")
    driver.track("bob", "view", T)
    driver.track("ann", "buy", min(timestamp, -1))
    assert driver.story("ann") == [("enter", "recent", "2023-11-14T22:13:20.000Z", "event")]
    assert driver.codes() == []


def test_headers_without_values_pass_through() -> None:
    driver = Driver(BUYERS, partitions=2)
    for partition in (0, 1):
        driver.pipe(event(), T, partition=partition, headers=[("a", None)])  # type: ignore[list-item]
    driver.pipe(b"", T, headers=[("a", None)])  # type: ignore[list-item]
    assert (driver.codes(), driver.repartitioned, set(driver.members("ann", T))) == (
        ["not_json"],
        1,
        {"buyers"},
    )


def test_attributes_do_not_grow_beyond_the_limit() -> None:
    driver = Driver(BUYERS, limits=Limits(max_attributes_bytes=2000))
    for number in range(20):
        driver.profile("ann", T + number, set={f"a{number}": "x" * 150})
    refused = driver.codes().count("attributes_too_large")
    row = driver.pipeline.look("default", "ann", T + 99)
    assert row is not None
    assert refused == len(driver.dead) == 20 - len(row.attributes)
    assert 5 < refused < 15
    driver.track("ann", "buy", T + 60)
    driver.profile("ann", T + 61, unset=list(row.attributes))
    driver.profile("ann", T + 62, set={"country": "US"})
    assert set(driver.members("ann", T + 99)) == {"buyers", "locals"}


@pytest.mark.parametrize("what", ["set and unset", "identities"])
def test_no_other_way_lets_a_row_grow_without_bound(what: str) -> None:
    driver = Driver(BUYERS, limits=Limits(max_attributes_bytes=2000))
    for number in range(100):
        name = f"{number}".rjust(100, "a")
        if what == "identities":
            driver.track("ann", "view", T + number, identities={name: "x"})
        else:
            driver.profile("ann", T + number, set={name: 1})
            driver.profile("ann", T + number, unset=[name])
    driver.pipeline.profiles.flush()
    (stored,) = driver.pipeline.profiles.store.get_many([b"ann"])
    assert stored is not None
    assert len(stored) < 4000
    assert set(driver.codes()) == {"attributes_too_large"}
