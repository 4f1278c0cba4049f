"""An audience's definition: its head and its rule (spec: rules.md, section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import available_timezones

from rules import model
from rules.document import Entry, Node
from rules.parse_reader import Reader, join
from rules.parse_rule import parse_rule

_KEYS: Final = ("id", "name", "description", "project", "type", "timezone", "labels", "rule")
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class ParsedAudience:
    """An audience and where it stands; ``path`` leads to it in its file (empty: all of a document)."""

    audience: model.Audience
    file: str
    path: str
    id_at: Node
    name_at: Node


def parse_audience(reader: Reader, node: Node, path: str) -> ParsedAudience | None:
    """A definition, or None when problems were noted for any part of it."""
    entries = reader.entries(node, path, "a definition")
    if entries is None:
        return None
    faults = len(reader.problems)
    reader.keys(entries, path, _KEYS, ("schedule",))
    for key in ("id", "name", "rule"):
        if key not in entries:
            reader.problem("missing_key", f"a definition needs '{key}'", path, node)
    audience_id = _field(reader, entries, "id", path, "")
    project = _field(reader, entries, "project", path, "default")
    for key, value in (("id", audience_id), ("project", project)):
        if value and _NAME.fullmatch(value) is None:
            message = f"{key} must be 1 to 64 letters, digits or underscores (A-Z a-z 0-9 _)"
            reader.problem("wrong_value", message, join(path, key), entries[key].node)
    name = _field(reader, entries, "name", path, "")
    description = _description(reader, entries, path)
    kind = _type(reader, entries, path)
    timezone = _timezone(reader, entries, path)
    labels = _labels(reader, entries, path)
    rule = parse_rule(reader, entries["rule"].node, join(path, "rule")) if "rule" in entries else None
    if len(reader.problems) > faults or rule is None:
        return None
    audience = model.Audience(audience_id, name, rule, description, project, kind, timezone, labels)
    return ParsedAudience(audience, reader.file, path, entries["id"].node, entries["name"].node)


def _field(reader: Reader, entries: Mapping[str, Entry], key: str, path: str, default: str) -> str:
    if key not in entries:
        return default
    return reader.text(entries[key].node, join(path, key), key) or ""


def _description(reader: Reader, entries: Mapping[str, Entry], path: str) -> str:
    if "description" not in entries:
        return ""
    node = entries["description"].node
    if not isinstance(node.value, str):
        reader.wrong_type(node, join(path, "description"), "description", "text")
        return ""
    return node.value


def _type(reader: Reader, entries: Mapping[str, Entry], path: str) -> Literal["realtime", "instant"]:
    if "type" not in entries:
        return "realtime"
    node, inside = entries["type"].node, join(path, "type")
    value = reader.text(node, inside, "type")
    if value == "instant":
        return "instant"
    if value == "batch":
        reader.not_yet("type: batch", inside, node)
    elif value is not None and value != "realtime":
        reader.unknown("wrong_value", f"unknown type '{value}'", value, inside, node, ("realtime", "instant"))
    return "realtime"


def _timezone(reader: Reader, entries: Mapping[str, Entry], path: str) -> str:
    value = _field(reader, entries, "timezone", path, "UTC")
    if value not in ("", "UTC") and value not in _timezones():
        near = get_close_matches(value, _timezones(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "a name of the IANA database, such as Asia/Shanghai"
        inside = join(path, "timezone")
        reader.problem("timezone", f"unknown time zone '{value}'", inside, entries["timezone"].node, hint)
    return value


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    """Listed once: it walks the whole database."""
    return frozenset(available_timezones())


def _labels(reader: Reader, entries: Mapping[str, Entry], path: str) -> tuple[str, ...]:
    if "labels" not in entries:
        return ()
    node, inside = entries["labels"].node, join(path, "labels")
    if not isinstance(node.value, tuple):
        reader.wrong_type(node, inside, "labels", "a list")
        return ()
    labels = [reader.text(item, join(inside, at), "a label") for at, item in enumerate(node.value)]
    return tuple(label for label in labels if label is not None)
