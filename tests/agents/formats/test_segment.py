"""Segment's calls, as its specification writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agents.formats.reading import a_format, read

SEGMENT = a_format("segment")
CONTEXT = {
    "ip": "8.8.8.8",
    "library": {"name": "analytics.js", "version": "2.11.1"},
    "campaign": {"name": "TPS Innovation Newsletter", "source": "Newsletter"},
    "locale": "en-US",
}
COMMON = {
    "anonymousId": "507f191e810c19729de860ea",
    "channel": "browser",
    "context": CONTEXT,
    "integrations": {"All": True, "Mixpanel": False},
    "messageId": "022bb90c-bbac-11e4-8dfc-aa07a5b093db",
    "receivedAt": "2015-12-10T04:08:31.909Z",
    "sentAt": "2015-12-10T04:08:31.581Z",
    "timestamp": "2015-12-10T04:08:31.905Z",
    "userId": "97980cfea0067",
    "version": 2,
}
SAYS = {
    "user_id": "97980cfea0067",
    "id": "022bb90c-bbac-11e4-8dfc-aa07a5b093db",
    "time": "2015-12-10T04:08:31.905Z",
    "identities": {"anonymous_id": "507f191e810c19729de860ea"},
}
BESIDE = {"context": CONTEXT, "channel": "browser"}

CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "track": (
        {
            "type": "track",
            "event": "Registered",
            "properties": {"plan": "Pro Annual", "accountType": "Facebook"},
        },
        {"event": "Registered", "properties": {"plan": "Pro Annual", "accountType": "Facebook", **BESIDE}},
    ),
    "identify": (
        {"type": "identify", "traits": {"name": "Peter", "address": {"city": "Oslo"}, "logins": 5}},
        {"type": "profile", "set": {"name": "Peter", "address": {"city": "Oslo"}, "logins": 5}},
    ),
    "identify without traits": ({"type": "identify"}, {"type": "profile", "set": {}}),
    "page": (
        {"type": "page", "name": "Home", "category": "Docs", "properties": {"url": "https://x.example/"}},
        {
            "event": "page",
            "properties": {"name": "Home", "category": "Docs", "url": "https://x.example/", **BESIDE},
        },
    ),
    "screen": (
        {"type": "screen", "name": "Home", "properties": {"Feed Type": "private"}},
        {"event": "screen", "properties": {"name": "Home", "Feed Type": "private", **BESIDE}},
    ),
    "group": (
        {"type": "group", "groupId": "0e8c", "traits": {"name": "Initech", "employees": 329}},
        {"type": "profile", "set": {"group_id": "0e8c", "group": {"name": "Initech", "employees": 329}}},
    ),
    "group without traits": (
        {"type": "group", "groupId": 7},
        {"type": "profile", "set": {"group_id": 7}},
    ),
    "alias": (
        {"type": "alias", "previousId": "jen@example.com"},
        {
            "type": "profile",
            "set": {},
            "identities": {"anonymous_id": "507f191e810c19729de860ea", "previous_id": "jen@example.com"},
        },
    ),
}


@pytest.mark.parametrize("what", CALLS)
def test_each_call_says_what_the_specification_means(what: str) -> None:
    call, fields = CALLS[what]
    assert read(SEGMENT, COMMON | call) == [[SAYS | fields]]


def test_calls_come_in_lists_and_in_the_http_api_s_batch() -> None:
    calls = [COMMON | call for call, _ in CALLS.values()]
    expected = [[SAYS | fields] for _, fields in CALLS.values()]
    assert read(SEGMENT, calls) == expected
    assert read(SEGMENT, {"batch": calls, "writeKey": "w", "sentAt": "2015-12-10T04:08:31.581Z"}) == expected
    assert read(SEGMENT, [{"batch": calls[:3]}, {"batch": calls[3:]}]) == expected


MINIMAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an anonymous user": ({"anonymousId": "a1"}, {"user_id": "a1"}),
    "a user id that is null": ({"userId": None, "anonymousId": "a1"}, {"user_id": "a1"}),
    "a user id that is empty": ({"userId": "", "anonymousId": "a1"}, {"user_id": "a1"}),
    "numbers as ids": (
        {"userId": 12345678901234567890123, "anonymousId": 7, "messageId": 9},
        {"user_id": "12345678901234567890123", "id": "9", "identities": {"anonymous_id": "7"}},
    ),
    "no properties": ({"userId": "u", "properties": None}, {"user_id": "u"}),
    "an empty array for properties": ({"userId": "u", "properties": []}, {"user_id": "u"}),
    "the time of the device alone": (
        {"userId": "u", "originalTimestamp": "2015-02-23T22:28:55.111+01:00"},
        {"user_id": "u", "time": "2015-02-23T22:28:55.111+01:00"},
    ),
    "fields that nobody knows": (
        {"userId": "u", "tenant": {"id": 3}, "properties": {"tenant": "mine"}},
        {"user_id": "u", "properties": {"tenant": "mine"}},
    ),
}


@pytest.mark.parametrize("what", MINIMAL)
def test_a_call_with_little_in_it_is_read(what: str) -> None:
    call, fields = MINIMAL[what]
    (said,) = read(SEGMENT, {"type": "track", "event": "e"} | call)
    assert isinstance(said, list)
    assert [{"properties": {}} | said[0]] == [{"event": "e", "properties": {}} | fields]


def test_an_unknown_field_is_an_attribute_of_an_identify_unless_a_trait_has_its_name() -> None:
    call = {"type": "identify", "userId": "u", "tier": 2, "plan": "x", "traits": {"plan": "pro"}}
    assert read(SEGMENT, call) == [[{"user_id": "u", "type": "profile", "set": {"tier": 2, "plan": "pro"}}]]


BROKEN: dict[str, tuple[Any, str]] = {
    "no value": (None, "null_value"),
    "no JSON": (b'{"type":', "not_json"),
    "bytes that are not UTF-8": (b'{"type":"track","userId":"\xff","event":"e"}', "not_utf8"),
    "a text": ("track", "invalid"),
    "no type": ({"userId": "u", "event": "e"}, "type"),
    "an unknown type": ({"type": "trak", "userId": "u"}, "type"),
    "a type that is an object": ({"type": {}, "userId": "u"}, "type"),
    "no user": ({"type": "track", "event": "e"}, "user_id"),
    "a user that is an object": ({"type": "track", "event": "e", "userId": {}}, "invalid"),
    "a user with a NUL": ({"type": "track", "event": "e", "userId": "\0"}, "user_id"),
    "a track without an event": ({"type": "track", "userId": "u"}, "event"),
    "an event that is a number": ({"type": "track", "userId": "u", "event": 5}, "invalid"),
    "properties that are a text": (
        {"type": "track", "userId": "u", "event": "e", "properties": "x"},
        "invalid",
    ),
    "traits that are a list": ({"type": "identify", "userId": "u", "traits": [1]}, "invalid"),
    "an alias of nothing": ({"type": "alias", "userId": "u"}, "invalid"),
    "a group of nothing": ({"type": "group", "userId": "u"}, "invalid"),
    "an empty list": ([], "empty_batch"),
    "an empty batch": ({"batch": []}, "empty_batch"),
    "lists in lists": ([[[[[[[]]]]]]], "too_deep"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_value_is_refused(what: str) -> None:
    value, code = BROKEN[what]
    assert read(SEGMENT, value) == [code]


def test_one_bad_call_of_a_batch_costs_no_other() -> None:
    good = {"type": "track", "userId": "u", "event": "e"}
    says = [{"user_id": "u", "event": "e", "properties": {}}]
    for bad, code in (({"type": "track", "userId": "u"}, "event"), (5, "invalid"), ([], "empty_batch")):
        for batch in ([good, bad, good], {"batch": [good, bad, good]}):
            assert read(SEGMENT, batch) == [says, code, says]


def test_a_wrong_type_is_told_with_the_nearest_right_one() -> None:
    (item,) = SEGMENT.read(b'{"type":"trak","userId":"u"}', None)  # type: ignore[arg-type]
    assert "did you mean 'track'" in str(item.records)


def test_an_item_alone_keeps_what_its_envelope_says() -> None:
    calls = [{"type": "track", "userId": "u", "event": name} for name in "ab"]
    items = SEGMENT.read(str({"batch": calls, "sentAt": "t"}).replace("'", '"').encode(), None)  # type: ignore[arg-type]
    assert items[1].value == b'{"batch":[{"type":"track","userId":"u","event":"b"}],"sentAt":"t"}'
