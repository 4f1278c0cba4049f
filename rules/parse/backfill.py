"""``backfill``: what a new version makes of the past (docs/semantics.md, section 8a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from rules.model import language
from rules.parse.document import Node
from rules.parse.problems import name_hint
from rules.parse.values import Reader, join

Existing = Literal["announce", "silent"]

KEYS: Final[Mapping[str, str]] = {
    "existing": "`announce` (if not given): the members that a new audience finds come out as transitions "
    "with the cause `backfill`; `silent`: they are members without one",
    "history": "`all` (if not given): as much history as the rule looks at must be there; a duration: so "
    "much is enough, and no more is read; `none`: the audience counts from now on",
}
EXISTING: Final[tuple[Existing, ...]] = get_args(Existing)
HISTORIES: Final[Mapping[str, int | None]] = {"all": None, "none": 0}
"""Words for an amount of history in ms; a duration is one, too."""


def parse_backfill(reader: Reader, node: Node, path: str) -> language.Backfill:
    """That of a definition; the default for whatever has problems, which are noted."""
    entries = reader.entries(node, path, "backfill")
    if entries is None:
        return language.Backfill()
    reader.keys(entries, path, KEYS)
    backfill = language.Backfill()
    if "existing" in entries:
        existing = _existing(reader, entries["existing"].node, join(path, "existing"))
        backfill = language.Backfill(existing)
    if "history" in entries:
        history_ms = _history(reader, entries["history"].node, join(path, "history"))
        backfill = language.Backfill(backfill.existing, history_ms)
    return backfill


def _existing(reader: Reader, node: Node, path: str) -> Existing:
    for each in EXISTING:
        if node.value == each:
            return each
    if isinstance(node.value, str):
        message = f"unknown value '{node.value}' of existing"
        reader.unknown("wrong_value", message, node.value, path, node, EXISTING)
    else:
        reader.wrong_type(node, path, "existing", " or ".join(EXISTING))
    return EXISTING[0]


def _history(reader: Reader, node: Node, path: str) -> int | None:
    value = node.value
    if not isinstance(value, str):
        reader.wrong_type(node, path, "history", "all, none or a duration", "such as all, none or 30d")
        return None
    if value in HISTORIES:
        return HISTORIES[value]
    if value[:1].isdigit():
        return reader.duration(node, path, "history")
    hint = f"{name_hint(value, HISTORIES)}, or a duration such as 30d"
    reader.problem("wrong_value", f"unknown amount of history '{value}'", path, node, hint)
    return None
