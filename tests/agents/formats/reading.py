"""What a format gives for a value, in a form to compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.formats.format import Format, Item
from agents.formats.records import InputRecord
from agents.formats.refused import RecordRefused
from agents.formats.registry import make_format

_DEFAULTS = msgspec.to_builtins(InputRecord("u"))


@dataclass(frozen=True)
class Told:
    """What a record has besides its value."""

    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def a_format(name: str, data_format: str | None = None, mapping: object = None) -> Format:
    made, mistakes = make_format(name, data_format, mapping)
    assert made is not None, mistakes
    return made


def fields_of(record: InputRecord) -> dict[str, Any]:
    """The fields that are not at their defaults."""
    given = msgspec.to_builtins(record)
    return {name: value for name, value in given.items() if name == "user_id" or value != _DEFAULTS[name]}


def said(item: Item) -> list[dict[str, Any]] | str:
    """The native records of an item, or the code of its refusal."""
    if isinstance(item.records, RecordRefused):
        return item.records.code
    return [fields_of(each) for each in item.records]


def read(format: Format, body: object, **told: Any) -> list[list[dict[str, Any]] | str]:
    """What each item says; a value that can't be read at all is one code. Each item can stand alone."""
    value = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    items = items_of(format, value, Told(**told))
    if len(items) > 1:
        for item in items:
            (alone,) = items_of(format, item.value, Told(**told))
            assert said(alone) == said(item)
    return [said(item) for item in items]


def items_of(format: Format, value: bytes | None, told: Told) -> Sequence[Item]:
    try:
        return format.read(value, told)
    except RecordRefused as refusal:
        return [Item(refusal, value)]
