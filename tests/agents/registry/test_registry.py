"""One registry for all kinds of definitions: what of a topic is in force, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agents.deliver.definitions.published import Destinations
from agents.deliver.definitions.starts import FirstStart, encode_start, start_key
from agents.kafka.consumed import Consumed
from agents.registry.api_keys import KeyRecord, encode_key
from agents.registry.api_keys_topic import ApiKeys
from agents.registry.audiences import Audiences
from agents.registry.feed import Feed, stays_in_force
from agents.registry.registry import Registry
from agents.warnings import Warnings
from app.kafka.configured import parse_published

AnyRegistry = Registry[Any, Any]
SHA256 = "0" * 64

AUDIENCE = {"id": "fans", "name": "Fans", "rule": {"event": "view"}}
DESTINATION = {"name": "lake", "kind": "kafka", "kafka": {"topic": "t"}}


def audiences() -> AnyRegistry:
    return Audiences("t.audiences", partial(parse_published, max_samples=1000))


def destinations() -> AnyRegistry:
    return Destinations("t.destinations")


def api_keys() -> AnyRegistry:
    return ApiKeys("t.keys")


def definition(document: object, version: int = 1) -> bytes:
    return json.dumps({"version": version, "definition": document}).encode()


def take(registry: AnyRegistry, key: bytes | None, value: bytes | None, offset: int = 0) -> bool:
    return registry.take(Consumed(registry.topic, 0, offset, 0, key, value, []))


KINDS: list[tuple[Callable[[], AnyRegistry], bytes, bytes]] = [
    (audiences, b"default/fans", definition(AUDIENCE)),
    (destinations, b"lake", definition(DESTINATION)),
    (api_keys, b"k", encode_key(KeyRecord(SHA256, ("lookup",), ("*",), 0))),
]
BAD = [b"not json", b"\xff", b"[]", b'{"version": 7}', b'{"a":' * 3000 + b"1" + b"}" * 3000]


@pytest.mark.parametrize(("made", "key", "value"), KINDS)
@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_record_is_told_and_only_a_key_is_no_longer_in_force(
    made: Callable[[], AnyRegistry], key: bytes, value: bytes, bad: bytes
) -> None:
    registry = made()
    assert take(registry, key, value)
    assert len(registry.published) == 1
    assert not take(registry, key, bad, 7)
    assert len(registry.published) == (0 if made is api_keys else 1)
    assert str(registry.unusable[key]).startswith(f"{registry.topic}, offset 7, key '{key.decode()}': ")
    assert take(registry, key, value, 8)
    assert (len(registry.published), registry.unusable, registry.unusable_versions) == (1, {}, {})


@pytest.mark.parametrize(("made", "key", "value"), KINDS)
def test_a_record_without_a_value_takes_away_and_one_without_a_key_is_told(
    made: Callable[[], AnyRegistry], key: bytes, value: bytes
) -> None:
    registry = made()
    assert not registry.has_records
    assert not take(registry, None, value)
    assert registry.has_records
    assert "this record has no key" in registry.unusable[None].reason
    assert take(registry, key, value)
    assert not take(registry, key, b"bad")
    assert take(registry, key, None)
    assert (registry.published, registry.unusable_versions) == ({}, {})
    assert registry.found == {key}


def test_what_is_wrong_in_a_definition_has_its_place_in_the_text_that_lies_in_the_record() -> None:
    registry = audiences()
    text = b'{\n "id": "fans", "name": "Fans",\n "rule": {"evnt": "view"}}'
    take(registry, b"default/fans", b'{"version": 1, "definition": ' + text + b"}")
    assert "definitions topic.json:3:11" in registry.unusable[b"default/fans"].reason
    registry = destinations()
    text = b'{\n "name": "lake", "kind": "kafka",\n "kafka": {"topc": "t"}}'
    take(registry, b"lake", b'{"version": 1, "definition": ' + text + b"}")
    assert "destinations topic.json:3:12" in registry.unusable[b"lake"].reason


def test_where_a_destination_began_is_what_was_written_first_of_its_generation() -> None:
    registry = Destinations("t.destinations")
    first, second = FirstStart(1, {0: 5}), FirstStart(1, {0: 9})
    for each in (first, second):
        assert take(registry, start_key("lake"), encode_start(each))
    assert take(registry, start_key("lake"), None)
    assert registry.starts == {"lake": first}
    assert not take(registry, start_key("lake"), b"{}")
    assert registry.starts == {"lake": first}
    assert not registry.published
    later = FirstStart(2, {0: 7})
    assert take(registry, start_key("lake"), encode_start(later))
    assert registry.starts == {"lake": later}


def test_a_feed_warns_of_a_bad_record_until_another_one_takes_its_place() -> None:
    warnings = Warnings()
    feed = Feed(lambda: None, audiences(), "code", warnings, tell=stays_in_force)  # type: ignore[arg-type, return-value]

    def come(key: bytes | None, value: bytes | None, offset: int) -> None:
        feed.take(Consumed("t.audiences", 0, offset, 0, key, value, []))

    come(b"default/fans", definition(AUDIENCE), 0)
    assert not warnings.active()
    come(b"default/fans", b"bad", 1)
    (told,) = warnings.active()
    assert (told.code, told.place) == ("code", "t.audiences/0 key 'default/fans'")
    assert told.text.startswith("offset 1 can't be used, and what was published before it stays: ")
    come(b"default/fans", definition(AUDIENCE, 2), 2)
    assert not warnings.active()
