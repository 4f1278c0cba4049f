"""Every version of a definition, as it lies on the topic: old keys and new ones, releases, what compaction
leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.kafka.consumed import Consumed
from agents.registry.audiences import (
    Audiences,
    ReleaseRecord,
    audience_record,
    encode_audience,
    release_record,
)
from agents.registry.feed import Feed
from agents.warnings import Warnings
from app.kafka.configured import parse_published
from rules.compile.audience import PublishedAudience

Written = tuple[bytes, bytes | None]
TOPIC, KEY = "t.audiences", b"default/fans"
PARSE = partial(parse_published, max_samples=1000)


def version(number: int, event: str = "view", *, deleted: bool = False, by: str = "") -> PublishedAudience:
    audience = PARSE(json.dumps({"id": "fans", "name": "Fans", "rule": {"event": event}}), "x")
    return PublishedAudience(audience, number, deleted, 1000 + number, by)


def old(published: PublishedAudience) -> Written:
    """As a program before versions wrote it."""
    return KEY, encode_audience(published)


def new(published: PublishedAudience) -> Written:
    return audience_record(published)


def read(written: Sequence[Written]) -> Audiences:
    registry = Audiences(TOPIC, PARSE)
    for offset, (key, value) in enumerate(written):
        registry.take(Consumed(TOPIC, 0, offset, 0, key, value, []))
    return registry


def test_every_version_is_kept_with_who_published_it_and_when() -> None:
    first, second = version(1, by="ann"), version(2, "buy", by="bob")
    registry = read([new(first), new(second), new(version(3, "buy", deleted=True))])
    assert registry.versions == {KEY: {1: first, 2: second, 3: version(3, "buy", deleted=True)}}
    assert registry.published == {KEY: version(3, "buy", deleted=True)}
    assert (registry.top_version, registry.found, registry.unusable) == (3, {KEY}, {})
    assert new(first)[0] == b"default/fans/1"


def test_an_old_key_counts_as_the_version_in_its_value() -> None:
    before, after = version(2), version(3, "buy")
    registry = read([old(before), new(after)])
    assert registry.versions == {KEY: {2: before, 3: after}}
    assert registry.published == {KEY: after}
    assert registry.found == {KEY}


def test_an_old_record_and_a_new_one_of_the_same_version_are_one() -> None:
    moved = [old(version(2)), new(version(2)), (KEY, None), new(version(3, "buy"))]
    for written in (moved, moved[1:], [old(version(2)), *moved[3:]]):
        registry = read(written)
        assert sorted(registry.versions[KEY]) == [2, 3]
        assert not registry.unusable


def test_of_an_old_key_the_last_record_stands_as_after_compaction() -> None:
    for written in ([old(version(3)), old(version(3, "buy"))], [old(version(5)), old(version(3, "buy"))]):
        assert read(written).published == {KEY: version(3, "buy")}
        assert read(written).versions == read(written[1:]).versions


def test_what_a_version_means_never_changes() -> None:
    lost = new(version(2, "buy"))
    registry = read([new(version(1)), new(version(2)), lost])
    assert registry.published == {KEY: version(2)}
    assert "version 2 was published before it" in registry.unusable[lost[0]].reason
    assert not read([new(version(1)), new(version(2)), lost, new(version(2))]).unusable


def test_a_later_version_makes_the_unusable_one_before_it_harmless() -> None:
    warnings = Warnings()
    feed = Feed(lambda: None, Audiences(TOPIC, PARSE), "code", warnings)  # type: ignore[arg-type, return-value]
    bad: Written = (b"default/fans/2", b"bad")
    for offset, (key, value) in enumerate([new(version(1)), bad]):
        feed.take(Consumed(TOPIC, 0, offset, 0, key, value, []))
    assert feed.registry.published == {KEY: version(1)}
    assert feed.registry.unusable_versions == {KEY: 2}
    assert [each.place for each in warnings.active()] == ["t.audiences/0 key 'default/fans/2'"]
    feed.take(Consumed(TOPIC, 0, 2, 0, *new(version(3)), []))
    assert (feed.registry.unusable, feed.registry.unusable_versions) == ({}, {})
    assert not warnings.active()


@pytest.mark.parametrize(
    "key", [b"default/fans/2", b"default/fans/01", b"default/fans/x", b"default/fans/1/held", b"a/b/c/d/e"]
)
def test_a_key_that_is_not_the_definition_s_is_told(key: bytes) -> None:
    registry = read([(key, encode_audience(version(1)))])
    assert not registry.published
    assert registry.unusable.keys() == {key}


def test_a_version_is_released_until_the_release_is_taken_away() -> None:
    key, value = release_record(KEY, 2, ReleaseRecord(5, "ann"))
    written: list[Written] = [new(version(1)), new(version(2)), (key, value)]
    assert read(written).released == {(KEY, 2)}
    assert read(written).published == {KEY: version(2)}
    assert read([*written, (key, None)]).released == set()
    registry = read([*written[:2], (key, b"bad")])
    assert (registry.released, registry.unusable_versions) == (set(), {})
    assert registry.unusable.keys() == {key}


def test_records_that_are_taken_away_leave_the_versions_before_them() -> None:
    written: list[Written] = [new(version(1)), new(version(2)), (b"default/fans/2", None)]
    assert read(written).published == {KEY: version(1)}
    registry = read([*written, (b"default/fans/1", None)])
    assert (registry.published, registry.versions, registry.found) == ({}, {}, {KEY})


@given(st.integers(0, 4), st.integers(0, 4), st.data())
def test_compaction_changes_nothing(olds: int, news: int, data: st.DataObject) -> None:
    """Of one key the last record stays; where compaction stopped is up to the broker."""
    total = [version(number + 1, f"e{number}") for number in range(olds + news)]
    written = [*map(old, total[:olds]), *map(new, total[olds:])]
    upto = data.draw(st.integers(0, len(written)))
    last = {key: place for place, (key, _) in enumerate(written[:upto])}
    compacted = [each for place, each in enumerate(written) if place >= upto or last[each[0]] == place]
    before, after = read(written), read(compacted)
    assert before.published == after.published
    assert before.top_version == after.top_version
    assert all(before.versions[KEY][number] == each for number, each in after.versions.get(KEY, {}).items())
    assert set(range(olds + 1, olds + news + 1)) <= after.versions.get(KEY, {}).keys()
