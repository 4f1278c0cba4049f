"""Formats of source topics in the settings: everything that is wrong at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.settings.limits import limits_of
from app.settings.text import as_yaml
from app.settings.tree import SettingsInvalid, load_settings, load_with_sources

MAPPING = {"user_id": "who", "event": {"constant": "buy"}}


def test_a_topic_has_the_format_that_its_setting_names(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text("user_id: who\nevent: what\n")
    formats = [
        {"topic": "a", "format": "segment"},
        {"topic": "b", "format": "cloudevents", "data_format": "properties"},
        {"topic": "c", "format": "mapping", "mapping": MAPPING},
        {"topic": "d", "format": "mapping", "mapping_file": str(file)},
        {"topic": "e", "format": "native"},
    ]
    environ = {"TURNSTILE_TOPICS__EVENTS": "a,b,c,d,e", "TURNSTILE_SOURCES__FORMATS": json.dumps(formats)}
    made = limits_of(load_settings(environ=environ)).formats
    assert {topic: each.name for topic, each in made.items()} == {
        "a": "segment", "b": "cloudevents", "c": "mapping", "d": "mapping"
    }  # fmt: skip
    again = tmp_path / "again.yaml"
    again.write_text(as_yaml(load_with_sources(environ=environ)))
    assert limits_of(load_settings(again, {})).formats.keys() == made.keys()


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("user_id: [")
    file = tmp_path / "turnstile.yaml"
    formats = [
        {"topic": "shop.order", "format": "segmant"},
        {"topic": "web", "format": "mapping", "mapping": {"userid": "x", "event": {"constant": "e"}}},
        {"topic": "web", "format": "mapping", "mapping_file": str(tmp_path / "none.yaml")},
        {"topic": "shop.orders", "format": "mapping", "mapping_file": str(broken)},
        {"topic": "app", "format": "mapping", "mapping_file": str(broken), "mapping": MAPPING},
    ]
    topics = {"events": ["shop.orders", "web", "app"]}
    file.write_text(json.dumps({"topics": topics, "sources": {"formats": formats}}))
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(file, {})
    names = [each.name.removeprefix("sources.formats") for each in caught.value.wrong]
    assert names == [
        "[0].format", "[0].topic", "[1].mapping", "[1].mapping.userid", "[2].mapping_file", "[2].topic",
        "[3].mapping_file", "[4].mapping_file",
    ]  # fmt: skip
    text = str(caught.value)
    for told in (
        "did you mean 'segment'",
        "did you mean 'shop.orders'",
        "did you mean 'user_id'",
        "can't be read",
    ):
        assert told in text
