"""What of each member a push takes along: ids, attributes, and how rows are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from agents.deliver.definitions.parse_values import Fields
from agents.pushes.contract.push import (
    MAX_ATTRIBUTES,
    USER_ID,
    AttributeColumn,
    Content,
    Empty,
    Encryption,
    Format,
    IdColumn,
    RowFormat,
)
from rules.parse.document import Node
from rules.parse.values import Reader, join

KEYS: Final = ("ids", "attributes", "since", "exit_at", "format")
FORMAT_KEYS: Final = ("kind", "gzip", "empty", "header", "delimiter", "quote_all", "bom")
OF_CSV: Final = ("header", "delimiter", "quote_all", "bom")
DELIMITERS: Final = (",", ";", "|", "\t")


def parse_content(reader: Reader, node: Node | None, path: str) -> Content:
    """Problems are noted at the reader."""
    if node is None:
        return Content()
    entries = reader.entries(node, path, "content")
    if entries is None:
        return Content()
    reader.keys(entries, path, KEYS)
    fields = Fields(reader, entries, path, node)
    content = Content(
        _ids(fields) or Content().ids,
        _attributes(fields),
        fields.text("since") or "",
        fields.text("exit_at") or "",
        _format(fields),
    )
    _columns_differ(fields, content)
    return content


def _items(fields: Fields, key: str) -> list[tuple[str, Node]]:
    if key not in fields.entries:
        return []
    node, inside = fields.entries[key].node, join(fields.path, key)
    return [(join(inside, at), item) for at, item in enumerate(fields.reader.items(node, inside, key) or ())]


def _ids(fields: Fields) -> tuple[IdColumn, ...]:
    found = [_id(fields.reader, node, path) for path, node in _items(fields, "ids")]
    return tuple(each for each in found if each is not None)


def _id(reader: Reader, node: Node, path: str) -> IdColumn | None:
    if not isinstance(node.value, Mapping):
        name = reader.text(node, path, "an id")
        return None if name is None else IdColumn(name, column=name)
    reader.keys(node.value, path, ("type", "encryption", "method", "column"))
    own = Fields(reader, node.value, path, node)
    name = own.text("type", "an id needs 'type'")
    encryption: Any = own.choice("encryption", get_args(Encryption), "plain")
    method = own.text("method") or ""
    if method and encryption != "as_is":
        own.wrong("method", f"'method' has no effect, because encryption is {encryption}")
    elif encryption == "as_is" and not method:
        hint = "the name by which the target knows it; nothing is decrypted here"
        reader.problem("missing_key", "an id that goes along as_is needs 'method'", path, node, hint)
    if name is None:
        return None
    if name == USER_ID and encryption == "as_is":
        own.wrong("encryption", "a user id is known as plain text: as_is is for identities")
    return IdColumn(name, encryption, method, own.text("column") or name)


def _attributes(fields: Fields) -> tuple[AttributeColumn, ...]:
    items = _items(fields, "attributes")
    if len(items) > MAX_ATTRIBUTES:
        fields.wrong("attributes", f"there are {len(items)} attributes, and a push takes {MAX_ATTRIBUTES}")
    found = [_attribute(fields.reader, node, path) for path, node in items]
    return tuple(each for each in found if each is not None)


def _attribute(reader: Reader, node: Node, path: str) -> AttributeColumn | None:
    alias = None
    if isinstance(node.value, Mapping):
        reader.keys(node.value, path, ("attribute", "alias"))
        own = Fields(reader, node.value, path, node)
        name, alias = own.text("attribute", "this needs 'attribute'"), own.text("alias")
    else:
        name = reader.text(node, path, "an attribute")
    parts = None if name is None else reader.dotted(name, path, node)
    return None if name is None or parts is None else AttributeColumn(parts, alias or name)


def _format(fields: Fields) -> RowFormat:
    if "format" not in fields.entries:
        return RowFormat()
    node, inside = fields.entries["format"].node, join(fields.path, "format")
    if not isinstance(node.value, Mapping):
        kind: Any = fields.choice("format", get_args(Format), "csv")
        return RowFormat(kind)
    fields.reader.keys(node.value, inside, FORMAT_KEYS)
    own, standard = Fields(fields.reader, node.value, inside, node), RowFormat()
    kind = own.choice("kind", get_args(Format), "csv")
    empty: Any = own.choice("empty", get_args(Empty), standard.empty)
    for key in own.entries:
        if kind != "csv" and key in OF_CSV:
            own.wrong(key, f"'{key}' is for csv, and this is {kind}")
    if kind == "csv" and empty != "empty":
        own.wrong("empty", "a column of csv has nothing between its delimiters where there is no value")
    if kind == "kafka" and "gzip" in own.entries:
        own.wrong("gzip", "'gzip' is for files, and this is kafka")
    return RowFormat(
        kind,
        own.flag("gzip", standard.gzip),
        empty,
        own.flag("header", standard.header),
        own.choice("delimiter", DELIMITERS, standard.delimiter) or standard.delimiter,
        own.flag("quote_all", standard.quote_all),
        own.flag("bom", standard.bom),
    )


def _columns_differ(fields: Fields, content: Content) -> None:
    """Note columns of one name, and ids of one type, that are there twice."""
    columns = [each.column for each in content.ids] + [each.column for each in content.attributes]
    columns += [each for each in (content.since, content.exit_at) if each]
    for name in sorted({each for each in columns if columns.count(each) > 1}):
        hint = "give one of them another column or alias"
        fields.reader.problem("duplicate", f"column '{name}' is there twice", fields.path, fields.at, hint)
