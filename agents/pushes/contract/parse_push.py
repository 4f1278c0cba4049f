"""One push's definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agents.deliver.definitions.destination import Json
from agents.deliver.definitions.parse_values import Fields, plain
from agents.pushes.contract.parse_content import parse_content
from agents.pushes.contract.parse_schedule import parse_schedule
from agents.pushes.contract.push import MAX_IDS, Push
from rules.parse.document import Node
from rules.parse.values import Reader, join

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
CONNECTION: Final = re.compile(r"(?:[A-Za-z0-9_]{1,64}/)?[A-Za-z0-9_-]{1,64}")
PROJECT: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
KEYS: Final = (
    *("name", "project", "description", "labels", "audience", "connection", "target"),
    *("schedule", "content", "max_ids", "enabled"),
)
MOST_IDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ParsedPush:
    """A push, where it stands, and where its name does."""

    push: Push
    file: str
    path: str
    node: Node
    name_at: Node


def parse_push(reader: Reader, node: Node, path: str) -> ParsedPush | None:
    """None: problems are noted at the reader."""
    entries = reader.entries(node, path, "a push")
    if entries is None:
        return None
    faults = len(reader.problems)
    reader.keys(entries, path, KEYS)
    fields = Fields(reader, entries, path, node)
    push = Push(
        name=_named(fields, "name", NAME, "letters, digits, underscores or hyphens") or "",
        audience=_named(fields, "audience", PROJECT, "letters, digits or underscores") or "",
        connection=_named(fields, "connection", CONNECTION, "letters, digits, underscores or hyphens") or "",
        project=fields.text("project") or "default",
        description=fields.text("description") or "",
        labels=fields.texts("labels"),
        schedule=parse_schedule(reader, _node(fields, "schedule"), join(path, "schedule")),
        content=parse_content(reader, _node(fields, "content"), join(path, "content")),
        target=_target(fields),
        max_ids=fields.whole("max_ids", MAX_IDS, 1, MOST_IDS),
        enabled=fields.flag("enabled", True),
        document=plain(node),
    )
    if PROJECT.fullmatch(push.project) is None:
        fields.wrong("project", "project must be 1 to 64 letters, digits or underscores")
    if len(reader.problems) > faults:
        return None
    return ParsedPush(push, reader.file, path, node, entries["name"].node)


def _node(fields: Fields, key: str) -> Node | None:
    return fields.entries[key].node if key in fields.entries else None


def _named(fields: Fields, key: str, pattern: re.Pattern[str], told: str) -> str | None:
    text = fields.text(key, required=f"a push needs '{key}'")
    if text is not None and pattern.fullmatch(text) is None:
        fields.wrong(key, f"{key} must be 1 to 64 {told}")
    return text


def _target(fields: Fields) -> Mapping[str, Json]:
    """As it is written: what it may say depends on the kind of the connection."""
    node = _node(fields, "target")
    if node is None:
        return {}
    if fields.reader.entries(node, join(fields.path, "target"), "target") is None:
        return {}
    found = plain(node)
    assert isinstance(found, Mapping)
    return found
