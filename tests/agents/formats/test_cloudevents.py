"""CloudEvents 1.0: structured and binary mode and batches, with data of every format."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.agents.formats.reading import a_format, read

NATIVE = a_format("cloudevents")
PROPERTIES = a_format("cloudevents", "properties")
EVENT = {
    "specversion": "1.0",
    "type": "com.example.bought",
    "source": "/shop",
    "subject": "ann",
    "id": "A234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "comexampleextension1": "value",
    "comexampleothervalue": 5,
    "datacontenttype": "application/json",
}
SAYS = {
    "user_id": "ann",
    "event": "com.example.bought",
    "id": "/shop#A234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
}
EXTENSIONS = {"comexampleextension1": "value", "comexampleothervalue": 5}
BOUGHT = {"price": 12.5, "lines": [{"sku": "hat"}]}


def binary(event: dict[str, Any], content_type: str | None = "application/json") -> list[tuple[str, bytes]]:
    told = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "datacontenttype"]
    return told if content_type is None else [*told, ("content-type", content_type.encode())]


def test_structured_mode_with_the_properties_as_data() -> None:
    says = [SAYS | {"properties": EXTENSIONS | BOUGHT}]
    for headers in ((), [("content-type", b"application/cloudevents+json; charset=utf-8")]):
        assert read(PROPERTIES, EVENT | {"data": BOUGHT}, headers=headers) == [says]


def test_binary_mode_has_its_attributes_in_headers() -> None:
    says = [SAYS | {"properties": {"comexampleextension1": "value", "comexampleothervalue": "5"} | BOUGHT}]
    for content_type in ("application/json", "application/vnd.shop+json; charset=utf-8", None):
        assert read(PROPERTIES, BOUGHT, headers=binary(EVENT, content_type)) == [says]


def test_batches_are_lists_of_structured_events() -> None:
    batch = [EVENT | {"id": str(each), "data": {"n": each}} for each in range(3)]
    says = [[SAYS | {"id": f"/shop#{each}", "properties": EXTENSIONS | {"n": each}}] for each in range(3)]
    for headers in ((), [("content-type", b"application/cloudevents-batch+json")]):
        assert read(PROPERTIES, batch, headers=headers) == says


def test_native_data_says_more_than_the_attributes() -> None:
    data = {"user_id": "bob", "event": "buy", "id": "7", "time": 5, "properties": {"comexampleextension1": 1}}
    says = {"user_id": "bob", "event": "buy", "id": "7", "time": 5}
    beside = {"comexampleextension1": 1, "comexampleothervalue": 5}
    assert read(NATIVE, EVENT | {"data": data}) == [[says | {"properties": beside}]]
    assert read(NATIVE, EVENT | {"data": {}}) == [[SAYS | {"properties": EXTENSIONS}]]
    profile = {"type": "profile", "set": {"a": 1}}
    says = {name: SAYS[name] for name in ("user_id", "id", "time")} | profile
    assert read(NATIVE, EVENT | {"data": profile}) == [[says]]


def test_several_native_records_in_one_event_have_ids_of_their_own() -> None:
    bare = {name: value for name, value in EVENT.items() if name not in EXTENSIONS}
    data = [{"event": "a"}, {"event": "b"}, {"event": ""}]
    says = [
        [SAYS | {"event": "a", "id": f"{SAYS['id']}#0"}],
        [SAYS | {"event": "b", "id": f"{SAYS['id']}#1"}],
    ]
    assert read(NATIVE, bare | {"data": data}) == [*says, "event"]
    assert read(NATIVE, data, headers=binary(bare)) == [*says, "event"]


def test_data_of_other_formats() -> None:
    bare = {name: value for name, value in EVENT.items() if name not in EXTENSIONS}
    call = {"type": "track", "event": "Bought", "properties": {"a": 1}}
    segment = a_format("cloudevents", "segment")
    assert read(segment, bare | {"data": call}) == [[SAYS | {"event": "Bought", "properties": {"a": 1}}]]
    named = {"userId": "bob", "messageId": "m", "timestamp": 7}
    says = {"user_id": "bob", "id": "m", "time": 7, "event": "Bought", "properties": {"a": 1}}
    assert read(segment, call | named, headers=binary(bare)) == [[says]]
    sensors = a_format("cloudevents", "sensors")
    record = {"type": "profile_set", "properties": {"a": 1}}
    said = {name: SAYS[name] for name in ("user_id", "id", "time")} | {"type": "profile", "set": {"a": 1}}
    assert read(sensors, bare | {"data": record}) == [[said]]
    mapping = {"user_id": "data.who", "event": "type", "properties": {"from": "source", "n": "data.n"}}
    mapped = a_format("cloudevents", "mapping", mapping)
    said = SAYS | {"user_id": "bob", "properties": {"from": "/shop", "n": 1}}
    assert read(mapped, bare | {"data": {"who": "bob", "n": 1}}) == [[said]]
    assert read(mapped, {"who": "bob", "n": 1}, headers=binary(bare)) == [[said]]


def test_data_in_base64_and_no_data() -> None:
    encoded = base64.b64encode(json.dumps({"n": 1}).encode()).decode()
    assert read(PROPERTIES, EVENT | {"data_base64": encoded}) == [
        [SAYS | {"properties": EXTENSIONS | {"n": 1}}]
    ]
    assert read(PROPERTIES, EVENT) == [[SAYS | {"properties": EXTENSIONS}]]
    bare = {name: value for name, value in EVENT.items() if name not in EXTENSIONS}
    assert read(PROPERTIES, None, headers=binary(bare, None)) == [[SAYS | {"properties": {}}]]
    assert read(PROPERTIES, b"", headers=binary(bare)) == [[SAYS | {"properties": {}}]]


def test_ids_are_unique_only_together_with_their_source_and_never_too_long() -> None:
    (said,) = read(PROPERTIES, EVENT | {"source": "/" + "x" * 600})
    assert isinstance(said, list)
    assert len(said[0]["id"]) == 64


BROKEN: dict[str, tuple[Any, str]] = {
    "no value": (None, "null_value"),
    "no JSON": (b"{", "not_json"),
    "no CloudEvent": ({"type": "x"}, "cloudevents"),
    "a number": (5, "cloudevents"),
    "an empty list": ([], "empty_batch"),
    "version 0.3": (EVENT | {"specversion": "0.3"}, "cloudevents"),
    "no id": (EVENT | {"id": ""}, "cloudevents"),
    "no source": ({name: value for name, value in EVENT.items() if name != "source"}, "cloudevents"),
    "a type that is a number": (EVENT | {"type": 5}, "cloudevents"),
    "a subject that is an object": (EVENT | {"subject": {}}, "cloudevents"),
    "no user": ({name: value for name, value in EVENT.items() if name != "subject"}, "invalid"),
    "data that is a text": (EVENT | {"data": "x"}, "invalid"),
    "data that is no Base64": (EVENT | {"data_base64": "%"}, "cloudevents"),
    "data that is no JSON": (EVENT | {"data_base64": "AAAA"}, "not_json"),
    "data of another type": (EVENT | {"data_base64": "AA==", "datacontenttype": "text/xml"}, "content_type"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_event_is_refused_and_its_neighbours_are_taken(what: str) -> None:
    value, code = BROKEN[what]
    assert read(PROPERTIES, value) == [code]
    if isinstance(value, dict):
        says = [SAYS | {"properties": EXTENSIONS}]
        assert read(PROPERTIES, [EVENT, value, EVENT]) == [says, code, says]


def test_binary_data_that_is_no_json_is_refused() -> None:
    assert read(PROPERTIES, b"<x/>", headers=binary(EVENT, "application/xml")) == ["content_type"]
    assert read(PROPERTIES, b"{", headers=binary(EVENT)) == ["not_json"]
    assert read(PROPERTIES, b"{}", headers=binary(EVENT | {"id": ""})) == ["cloudevents"]
