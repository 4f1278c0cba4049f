"""Sensors Data's records, as its description of the data format writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agents.formats.reading import a_format, read

SENSORS = a_format("sensors")
COMMON = {"distinct_id": "123456", "time": 1434556935000, "project": "ebiz_test", "time_free": True}
SAYS = {"user_id": "123456", "time": 1434556935000, "project": "ebiz_test"}
PRODUCT = {"$app_version": "1.3", "$wifi": True, "$city": "长沙", "product_id": 12345, "product_price": 14.0}

RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "track": (
        {"type": "track", "event": "ViewProduct", "properties": PRODUCT},
        {"event": "ViewProduct", "properties": PRODUCT},
    ),
    "track with identities": (
        {
            "type": "track",
            "event": "ViewProduct",
            "login_id": "123456",
            "anonymous_id": "0f485d",
            "identities": {"$identity_login_id": "123456", "$identity_mobile": ["1", "2"], "$x": None},
            "_track_id": 235196,
            "_flush_time": 1434556935100,
            "lib": {"$lib": "js", "$lib_version": "1.26"},
        },
        {
            "event": "ViewProduct",
            "id": "235196-1434556935000",
            "properties": {"lib": {"$lib": "js", "$lib_version": "1.26"}},
            "identities": {"$identity_login_id": "123456", "$identity_mobile": "2", "anonymous_id": "0f485d"},
        },
    ),
    "track_signup": (
        {"type": "track_signup", "original_id": "2b0a6f51", "properties": {"$lib": "js"}},
        {"event": "$SignUp", "properties": {"$lib": "js"}, "identities": {"original_id": "2b0a6f51"}},
    ),
    "track_id_bind": (
        {"type": "track_id_bind", "event": "$BindID", "identities": {"$identity_mobile": "1"}},
        {"event": "$BindID", "properties": {}, "identities": {"$identity_mobile": "1"}},
    ),
    "track_id_unbind": (
        {"type": "track_id_unbind", "identities": {"$identity_mobile": "1"}},
        {"event": "$UnbindID", "properties": {}},
    ),
    "profile_set": (
        {"type": "profile_set", "properties": {"$name": "X", "age": 18, "tags": ["a"]}},
        {"type": "profile", "set": {"$name": "X", "age": 18, "tags": ["a"]}},
    ),
    "profile_set_once": (
        {"type": "profile_set_once", "properties": {"first": "2015-06-17"}},
        {"type": "profile", "set_once": {"first": "2015-06-17"}},
    ),
    "profile_increment": (
        {"type": "profile_increment", "properties": {"count": 1, "paid": -2.5}},
        {"type": "profile", "add": {"count": 1, "paid": -2.5}},
    ),
    "profile_append": (
        {"type": "profile_append", "properties": {"movies": ["Up", "Her"], "games": "Go"}},
        {"type": "profile", "append": {"movies": ["Up", "Her"], "games": ["Go"]}},
    ),
    "profile_unset": (
        {"type": "profile_unset", "properties": {"city": None, "age": True}},
        {"type": "profile", "unset": ["city", "age"]},
    ),
    "profile_unset of a list": (
        {"type": "profile_unset", "properties": ["city"]},
        {"type": "profile", "unset": ["city"]},
    ),
    "profile_delete": ({"type": "profile_delete", "properties": {}}, {"type": "profile", "unset_all": True}),
}
ITEM = {"type": "item_set", "item_type": "apple", "item_id": "0912", "properties": {"price": 3}, "time": 1}


@pytest.mark.parametrize("what", RECORDS)
def test_each_record_says_what_the_description_means(what: str) -> None:
    record, fields = RECORDS[what]
    assert read(SENSORS, COMMON | record) == [[SAYS | fields]]


def test_records_come_in_lists() -> None:
    assert read(SENSORS, [COMMON | record for record, _ in RECORDS.values()]) == [
        [SAYS | fields] for _, fields in RECORDS.values()
    ]


def test_operations_on_items_are_right_and_concern_no_user() -> None:
    assert read(SENSORS, ITEM) == [[]]
    assert read(SENSORS, [ITEM, ITEM | {"type": "item_delete", "properties": {}}]) == [[], []]


def test_numbers_are_ids_and_unknown_fields_are_properties() -> None:
    record = {"type": "track", "event": "e", "distinct_id": 42, "shop": 3, "original_id": 7}
    assert read(SENSORS, record) == [
        [{"user_id": "42", "event": "e", "properties": {"shop": 3}, "identities": {"original_id": "7"}}]
    ]


def test_what_is_sent_again_has_the_id_that_it_had() -> None:
    record = COMMON | {"type": "track", "event": "e", "_track_id": 5}
    assert read(SENSORS, record) == read(SENSORS, record | {"_flush_time": 1434556999999})
    assert read(SENSORS, record) != read(SENSORS, record | {"time": 1434556935001})


BROKEN: dict[str, tuple[Any, str]] = {
    "no value": (None, "null_value"),
    "no JSON": (b"{", "not_json"),
    "an empty list": ([], "empty_batch"),
    "no type": ({}, "type"),
    "an unknown type": ({"type": "profile_sett"}, "type"),
    "no user": ({"type": "track", "event": "e"}, "user_id"),
    "a user that is a list": ({"type": "track", "event": "e", "distinct_id": [1]}, "invalid"),
    "no event": ({"type": "track", "distinct_id": "u"}, "event"),
    "a project that is no name": (
        {"type": "track", "distinct_id": "u", "event": "e", "project": "a b"},
        "project",
    ),
    "an increment by text": (
        {"type": "profile_increment", "distinct_id": "u", "properties": {"a": "1"}},
        "invalid",
    ),
    "an increment by true": (
        {"type": "profile_increment", "distinct_id": "u", "properties": {"a": True}},
        "invalid",
    ),
    "properties that are a number": ({"type": "profile_set", "distinct_id": "u", "properties": 5}, "invalid"),
    "unsetting numbers": ({"type": "profile_unset", "distinct_id": "u", "properties": [1]}, "invalid"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_value_is_refused_and_its_neighbours_are_taken(what: str) -> None:
    value, code = BROKEN[what]
    assert read(SENSORS, value) == [code]
    if isinstance(value, dict):
        good = COMMON | RECORDS["track"][0]
        says = [SAYS | RECORDS["track"][1]]
        assert read(SENSORS, [good, value, good]) == [says, code, says]
