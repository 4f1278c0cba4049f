"""Names of properties and attributes as definitions write them (docs/semantics.md, section 7)."""

from __future__ import annotations

import re
from typing import Final

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.values import Reader

_INDEX: Final = re.compile(r"\.[0-9]+(?=\.|$)|\[(?:[0-9]+|\*)\]")
"""A position in a list, as other languages write it: ``items.0``, ``items[0]``, ``items[*]``."""


def parse_name(reader: Reader, name: str, path: str, at: Node | Entry) -> language.Path | None:
    """A name, split at its dots; a part that ends with ``[]`` stands for the elements of a list."""
    parts = reader.dotted(name, path, at)
    if parts is None:
        return None
    if _INDEX.search(name) and not reader.published:
        message = f"'{name}' names a position in a list, and a list's elements have no names"
        better = _INDEX.sub(language.ELEMENTS, name)
        reader.problem("list_index", message, path, at, f"write {better}, which stands for any element")
        return None
    for part in parts:
        plain = part.removesuffix(language.ELEMENTS)
        if not plain or language.ELEMENTS in plain:
            message = f"'{name}' isn't a property name: {language.ELEMENTS} stands once, after a list's name"
            reader.problem("property_name", message, path, at, "such as lines[].sku")
            return None
    return parts


def parse_single_name(
    reader: Reader, name: str, path: str, at: Node | Entry, what: str
) -> language.Path | None:
    """A name that stands for one value, because ``what`` takes no more."""
    parts = parse_name(reader, name, path, at)
    if parts is None or not language.has_elements(parts):
        return parts
    message = f"'{name}' stands for many values, and {what} takes one"
    reader.problem("property_name", message, path, at, "give a name without []")
    return None
