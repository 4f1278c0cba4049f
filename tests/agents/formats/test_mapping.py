"""Mappings of records as analytics and shops write them, and everything that a mapping can be wrong in."""

from __future__ import annotations

from typing import Any

import pytest

from agents.formats.paths import find, parse_path
from agents.formats.registry import make_format
from tests.agents.formats.reading import a_format, read

HIT = {
    "client_id": "123.456",
    "user_id": 9007199254740993,
    "timestamp_micros": "1700000000123456",
    "user_properties": {"tier": {"value": "gold"}},
    "events": [
        {"name": "purchase", "params": {"currency": "USD", "value": 12.5, "items": [{"item_id": "hat"}]}},
        {"name": "page_view", "params": {}},
        {"name": ""},
    ],
}
HITS = {
    "each": "events[]",
    "user_id": [{"root": "user_id"}, {"root": "client_id"}],
    "event": "name",
    "time": {"root": "timestamp_micros", "unit": "us"},
    "properties": {"*": "params", "skus": "params.items[].item_id", "from": {"constant": "web"}},
    "identities": {"client_id": {"root": "client_id"}},
}
EXPORTED = {
    "event_date": "20260101",
    "event_timestamp": 1767225600123456,
    "event_name": "level_up",
    "user_pseudo_id": "p1",
    "user_id": None,
    "event_params": [
        {"key": "level", "value": {"int_value": 3, "string_value": None}},
        {"key": "character", "value": {"string_value": "elf"}},
        {"key": "nothing", "value": {"string_value": None}},
        {"key": 5, "value": {}},
    ],
    "device": {"category": "mobile"},
}
EXPORT = {
    "user_id": ["user_id", "user_pseudo_id"],
    "event": "event_name",
    "time": {"path": "event_timestamp", "unit": "us"},
    "properties": {
        "*": [
            "device",
            {
                "pairs": "event_params",
                "name": "key",
                "value": ["value.string_value", "value.int_value", "value.double_value"],
            },
        ]
    },
}
ORDER = {
    "id": 820982911946154508,
    "created_at": "2026-11-01T10:00:00-05:00",
    "total_price": "409.94",
    "test": "false",
    "financial_status": "paid",
    "customer": {
        "id": 207119551,
        "email": "bob@example.com",
        "tags": ["vip"],
        "orders_count": 2,
        "phone": None,
    },
    "line_items": [{"sku": "IPOD", "quantity": 1}, {"sku": "CASE", "quantity": 2}],
}
SHOP = [
    {
        "when": {"line_items": {"exists": True}},
        "user_id": "customer.id",
        "id": {"template": "order-{id}-{financial_status}"},
        "event": {"header": "X-Shopify-Topic"},
        "time": "created_at",
        "properties": {
            "total": {"path": "total_price", "as": "number"},
            "test": {"path": "test", "as": "boolean"},
            "first": "line_items[0].sku",
            "lines": "line_items",
            "discount": {"path": "discount", "default": 0},
        },
    },
    {
        "when": {"customer.id": {"exists": True}},
        "user_id": "customer.id",
        "time": "created_at",
        "set": {"orders": "customer.orders_count"},
        "append": {"tags": "customer.tags"},
        "identities": {"email": "customer.email", "phone": "customer.phone"},
    },
]


def test_a_hit_with_several_events_in_it() -> None:
    says = {
        "user_id": "9007199254740993",
        "time": "2023-11-14T22:13:20.123Z",
        "identities": {"client_id": "123.456"},
    }
    assert read(a_format("mapping", mapping=HITS), HIT) == [
        [
            says
            | {
                "event": "purchase",
                "properties": {
                    "currency": "USD",
                    "value": 12.5,
                    "items": [{"item_id": "hat"}],
                    "skus": ["hat"],
                    "from": "web",
                },
            }
        ],
        [says | {"event": "page_view", "properties": {"from": "web"}}],
        "event",
    ]


def test_an_item_alone_is_the_whole_value_with_that_item() -> None:
    items = a_format("mapping", mapping=HITS).read(str(HIT).replace("'", '"').encode(), None)  # type: ignore[arg-type]
    assert items[1].alone == HIT | {"events": [HIT["events"][1]]}  # type: ignore[index]


def test_an_export_with_typed_values() -> None:
    assert read(a_format("mapping", mapping=EXPORT), EXPORTED) == [
        [
            {
                "user_id": "p1",
                "event": "level_up",
                "time": "2026-01-01T00:00:00.123Z",
                "properties": {"category": "mobile", "level": 3, "character": "elf", "nothing": None},
            }
        ]
    ]
    assert len(read(a_format("mapping", mapping=EXPORT), [EXPORTED, EXPORTED])) == 2


def test_an_order_is_an_event_and_what_it_says_of_the_customer() -> None:
    shop = a_format("mapping", mapping=SHOP)
    at = {"user_id": "207119551", "time": "2026-11-01T10:00:00-05:00"}
    customer = at | {
        "type": "profile",
        "set": {"orders": 2},
        "append": {"tags": ["vip"]},
        "identities": {"email": "bob@example.com"},
    }
    headers = [("x-shopify-topic", b"orders/create")]
    assert read(shop, ORDER, headers=headers) == [
        [
            at
            | {
                "event": "orders/create",
                "id": "order-820982911946154508-paid",
                "properties": {
                    "total": 409.94,
                    "test": False,
                    "first": "IPOD",
                    "lines": ORDER["line_items"],
                    "discount": 0,
                },
            },
            customer,
        ]
    ]
    assert read(shop, ORDER) == ["event"]
    assert shop.reads_beside_value
    assert read(shop, {"customer": {"id": 1}}) == [
        [{"user_id": "1", "type": "profile", "set": {}, "append": {}, "identities": {}}]
    ]
    assert read(shop, {"other": 1}) == [[]]


def test_the_records_of_one_item_are_of_one_user() -> None:
    both = [{"user_id": "a", "event": {"constant": "x"}}, {"user_id": "b", "event": {"constant": "y"}}]
    shop = a_format("mapping", mapping=both)
    assert read(shop, {"a": "1", "b": "2"}) == ["user_id"]
    assert read(shop, {"a": "1"}) == ["user_id"]
    assert len(read(shop, {"a": 1, "b": 1})[0]) == 2


def test_the_key_and_an_instant_in_every_unit() -> None:
    for unit, number in (
        ("s", 1700000000),
        ("ms", 1700000000000),
        ("us", 1700000000000000),
        ("ns", 17 * 10**17),
    ):
        given = {"user_id": {"key": True}, "event": {"constant": "e"}, "time": {"path": "t", "unit": unit}}
        for value in (number, str(number), float(number)):
            said = [{"user_id": "ann", "event": "e", "time": "2023-11-14T22:13:20.000Z"}]
            assert read(a_format("mapping", mapping=given), {"t": value}, key=b"ann") == [said]
    assert read(a_format("mapping", mapping=given), {"t": 1}) == ["user_id"]


def test_small_numbers_in_ms_are_no_seconds() -> None:
    given = {"user_id": "u", "event": "e", "time": {"path": "t", "unit": "ms"}}
    said = [{"user_id": "u", "event": "e", "time": "1970-01-01T00:00:05.000Z"}]
    assert read(a_format("mapping", mapping=given), {"u": "u", "e": "e", "t": 5000}) == [said]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1), ("a.b.c", 2), ("x.y", 3), ("l[0].n", 4), ("l[].n", [4, 5]),
        ("l[]", [{"n": 4}, {"n": 5}, {}]),
        ("l[1].n", 5), ("l[9].n", None), ("l.0.n", None), ("a.b.c.d", None), ("q[].z", None), (".", "all"),
    ],
)  # fmt: skip
def test_paths_find_names_with_dots_and_elements(path: str, value: Any) -> None:
    body = {"a.b": 1, "a": {"b.c": 2}, "x": {"y": 3}, "l": [{"n": 4}, {"n": 5}, {}], "q": 1}
    if path == "a.b.c":
        body.pop("a.b")
    found = find(body, parse_path(path))
    assert (body if value == "all" else value) == (found if found.__class__ is not object else None)


MISTAKES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a text": ("x", [("mapping", 'must be a map of fields, not "x"')]),
    "nothing": ({}, [("mapping", "user_id is missing"), ("mapping", "neither an event")]),
    "a field with another name": (
        {"userid": "u", "user_id": "u", "event": "e"},
        [("mapping.userid", "did you mean 'user_id'")],
    ),
    "a number for a path": ({"user_id": 5, "event": "e"}, [("mapping.user_id", "write {constant: 5}")]),
    "no path": ({"user_id": "a..b", "event": "e"}, [("mapping.user_id", "'a..b' is no path")]),
    "a path that isn't closed": ({"user_id": "a[0", "event": "e"}, [("mapping.user_id", "is no path")]),
    "two origins": (
        {"user_id": {"path": "a", "header": "b"}, "event": "e"},
        [("mapping.user_id", "one of path")],
    ),
    "an unknown origin": (
        {"user_id": {"headr": "a"}, "event": "e"},
        [("mapping.user_id.headr", "did you mean 'header'"), ("mapping.user_id", "one of path")],
    ),
    "an unknown kind": (
        {"user_id": {"path": "a", "as": "nubmer"}, "event": "e"},
        [("mapping.user_id.as", "did you mean 'number'")],
    ),
    "an unknown unit": (
        {"user_id": "u", "event": "e", "time": {"path": "t", "unit": "msec"}},
        [("mapping.time.unit", "did you mean 'ms'")],
    ),
    "a unit of no time": (
        {"user_id": {"path": "u", "unit": "s"}, "event": "e"},
        [("mapping.user_id.unit", "only times")],
    ),
    "a template that isn't closed": (
        {"user_id": {"template": "a-{b"}, "event": "e"},
        [("mapping.user_id.template", "without its }")],
    ),
    "an event that sets": (
        {"user_id": "u", "event": "e", "set": {"a": "b"}},
        [("mapping.event", "make two with `records`")],
    ),
    "a list of properties": (
        {"user_id": "u", "event": "e", "properties": ["a"]},
        [("mapping.properties", "a map of")],
    ),
    "half of pairs": (
        {"user_id": "u", "event": "e", "properties": {"*": {"pairs": "a"}}},
        [("mapping.properties.*", "name and value missing")],
    ),
    "a wrong test": (
        {"user_id": "u", "event": "e", "when": {"a": {"equals": 1}}},
        [("mapping.when.a.equals", "unknown operator 'equals'")],
    ),
    "a when that is a list": (
        {"user_id": "u", "event": "e", "when": [1]},
        [("mapping.when", "must be a map")],
    ),
    "no records": ({"records": []}, [("mapping.records", "must be a list of records")]),
    "records and fields": (
        {"records": [{"user_id": "u", "event": "e"}], "event": "x"},
        [("mapping.event", "no field 'event' here")],
    ),
    "the whole value as a list": (
        {"each": ".", "user_id": "u", "event": "e"},
        [("mapping.each", "needs no")],
    ),
    "two lists of items": (
        {"each": "a[].b[]", "user_id": "u", "event": "e"},
        [("mapping.each", "at the end only")],
    ),
    "unset_all: false": ({"user_id": "u", "unset_all": False}, [("mapping.unset_all", "must be true")]),
    "in one of several": (
        [{"user_id": "u", "event": "e"}, {"user_id": "u", "evnt": "e"}],
        [("mapping[1].evnt", "did you mean 'event'"), ("mapping[1]", "neither an event")],
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_every_mistake_is_told_at_once_with_its_place(what: str) -> None:
    given, expected = MISTAKES[what]
    made, mistakes = make_format("mapping", mapping=given)
    assert made is None
    assert [each.path for each in mistakes] == [path for path, _ in expected]
    for mistake, (_, text) in zip(mistakes, expected, strict=True):
        assert text in mistake.message


FORMATS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "segmnt"}, "format", "did you mean 'segment'"),
    ({"name": "segment", "data_format": "native"}, "data_format", "has no effect"),
    ({"name": "cloudevents", "data_format": "propertis"}, "data_format", "did you mean 'properties'"),
    ({"name": "mapping"}, "mapping", "is missing"),
    ({"name": "cloudevents", "data_format": "mapping"}, "mapping", "is missing"),
    ({"name": "native", "mapping": HITS}, "mapping", "has no effect"),
]


@pytest.mark.parametrize(("given", "path", "text"), FORMATS)
def test_what_is_wrong_with_a_format_is_told(given: dict[str, Any], path: str, text: str) -> None:
    made, (mistake,) = make_format(**given)
    assert (made, mistake.path) == (None, path)
    assert text in mistake.message
