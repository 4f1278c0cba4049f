"""What of each member a push takes along: ids, attributes, and how rows are written."""

from __future__ import annotations

import re
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
    Kind,
    RowFormat,
)
from rules.parse.document import Node
from rules.parse.values import Reader, join

KEYS: Final = ("ids", "attributes", "since", "exit_at", "id", "id_type", "encryption", "format")
ID_KEYS: Final = ("type", "encryption", "method", "column", "kind", "country_code")
COUNTRY_CODE: Final = re.compile(r"[1-9][0-9]{0,2}")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
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
    standard = Content()
    content = Content(
        _ids(fields) or standard.ids,
        _attributes(fields),
        fields.text("since") or "",
        fields.text("exit_at") or "",
        fields.text("id") or standard.id,
        _named(fields, "id_type", standard.id_type),
        _named(fields, "encryption", standard.encryption),
        _format(fields),
    )
    _columns_differ(fields, content)
    return content


def _named(fields: Fields, key: str, standard: str) -> str:
    """The name of a column that is there by default; ``false`` takes it away."""
    if key in fields.entries and fields.entries[key].node.value is False:
        return ""
    return fields.text(key) or standard


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
    reader.keys(node.value, path, ID_KEYS)
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
    kind: Any = own.choice("kind", get_args(Kind), None)
    code = own.text("country_code") or ""
    if code and not COUNTRY_CODE.fullmatch(code):
        own.wrong("country_code", f"'{code}' is no country code: one to three digits, such as '86'")
    elif code and encryption not in ("md5", "sha256"):
        own.wrong("country_code", f"'country_code' has no effect, because encryption is {encryption}")
    return IdColumn(name, encryption, method, own.text("column") or name, kind, code)


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
    """Note columns of one name, ids of one name, and several ids that no column tells apart."""
    hint = "give one of them another column or alias"
    ids = [each.column for each in content.ids]
    is_one = len(ids) == 1
    columns = [content.id or (ids[0] if is_one else "id"), content.encryption, content.since, content.exit_at]
    columns += [content.id_type] if content.id or not is_one else []
    columns += [each.column for each in content.attributes]
    for what, names in (("id", ids), ("column", columns)):
        for name in sorted({each for each in names if each and names.count(each) > 1}):
            message = f"{what} '{name}' is there twice"
            fields.reader.problem("duplicate", message, fields.path, fields.at, hint)
    for name in columns:
        if CONTROL.search(name):
            message = f"a column can't be called {name!r}: it has a control character"
            fields.reader.problem("wrong_value", message, fields.path, fields.at)
    if not is_one and not content.id_type:
        fields.wrong("id_type", "several ids need a column that tells them apart")
