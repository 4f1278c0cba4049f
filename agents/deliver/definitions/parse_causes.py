"""``causes`` of a destination: a list of those that it gets, or ``{except: [...]}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agents.deliver.definitions.destination import CAUSES
from agents.deliver.definitions.parse_values import Fields
from rules.parse.document import Node
from rules.parse.values import Reader, join
from rules.state.row import Cause

EXISTING: Final[Cause] = "backfill"
"""The cause that existing members come with, and the members that a new audience finds."""
_EXCEPT: Final = "except"


def parse_causes(fields: Fields) -> frozenset[Cause]:
    """Those that it gets; all where there is no such key. What is wrong is noted, and counts as nothing."""
    if "causes" not in fields.entries:
        return CAUSES
    reader, node, path = fields.reader, fields.entries["causes"].node, join(fields.path, "causes")
    if not isinstance(node.value, Mapping):
        return _listed(reader, node, path)
    reader.keys(node.value, path, (_EXCEPT,))
    if _EXCEPT not in node.value:
        if reader.missing(node.value, (_EXCEPT,), (_EXCEPT,)):
            reader.problem("missing_key", "causes is a list, or {except: a list}", path, node)
        return CAUSES
    left = CAUSES - _listed(reader, node.value[_EXCEPT].node, join(path, _EXCEPT))
    if not left:
        reader.problem(
            "wrong_value", "no cause is left", path, node, "a destination that gets none is paused"
        )
    return left


def _listed(reader: Reader, node: Node, path: str) -> frozenset[Cause]:
    found: set[Cause] = set()
    for at, item in enumerate(reader.items(node, path, "causes") or ()):
        inside = join(path, at)
        name = reader.text(item, inside, "a cause")
        known = next((cause for cause in CAUSES if cause == name), None)
        if known is not None:
            found.add(known)
        elif name is not None:
            reader.unknown("wrong_value", f"unknown cause '{name}'", name, inside, item, CAUSES)
    return frozenset(found)
