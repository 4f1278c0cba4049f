"""Files of records: JSON lines as they are, or CSV with a header; and what a file is that is neither."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from app.failures import CommandFailed

BadLine: TypeAlias = Callable[[int, str, str], None]
"""Gets (line number, code, message)."""

CSV: Final = "csv"
FIELDS: Final = ("user_id", "event", "time", "timestamp", "id", "project")
"""Columns that are fields of a record; any other one is a property."""
NEEDED: Final = ("user_id", "event")
TIMES: Final = ("time", "timestamp")
"""Either of them is needed."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_MOST_CELL_CHARACTERS: Final = 16 * 1024 * 1024
_END: Final = "\x1e"
"""Given to the reader of CSV after the last line: in an open cell it becomes a part of it."""
_CONSTANTS: Final[Mapping[str, bool]] = {"true": True, "false": False}
_KINDS: Final = (
    (b"\x1f\x8b", "gzip", "unpack it first: gzip -dc FILE | turnstile … --events -"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it first: zstd -dc FILE | turnstile … --events -"),
    (b"PK\x03\x04", "a zip or Excel file", "unpack it, or save it as CSV, first"),
    (b"PAR1", "Parquet", "write it as JSON lines first"),
    (b"Obj\x01", "Avro", "write it as JSON lines first"),
    (b"\xff\xfe", "UTF-16", "write it as UTF-8 first: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16", "write it as UTF-8 first: iconv -f UTF-16 -t UTF-8"),
)


def looks_like(line: bytes) -> str:
    """What a file whose first line isn't a record probably is, and what to do; empty when it isn't clear."""
    for magic, name, advice in _KINDS:
        if line.startswith(magic):
            return f"this is {name}: {advice}"
    text = line.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if text.startswith("["):
        return (
            "this is a JSON array, or starts like one: one record a line is needed, as jq -c '.[]' writes it"
        )
    if text == "{":
        return "this is JSON over several lines: one record a line is needed, as jq -c . writes it"
    if text.startswith("<"):
        return "this is XML or HTML: JSON lines or CSV are needed"
    columns = _header(text)
    if len(columns) > 1 and all(re.fullmatch(r"[\w .$/()\[\]-]+", each) for each in columns):
        return f"this is CSV with the header {', '.join(columns)}: --format csv reads it"
    return ""


def _header(text: str) -> list[str]:
    return [each.strip() for each in next(csv.reader([text], delimiter=_delimiter(text)), [])]


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)


def parse_columns(options: Sequence[str]) -> dict[str, str]:
    """``user_id=customer``: fields and their columns. Raises CommandFailed."""
    found: dict[str, str] = {}
    for option in options:
        field, equals, column = option.partition("=")
        if not equals or not column or field not in FIELDS:
            allowed = ", ".join(FIELDS)
            raise CommandFailed(f"--column {option}: a field, = and its column; fields: {allowed}")
        found[field] = column
    return found


def csv_records(stream: Iterable[bytes], columns: Mapping[str, str], bad: BadLine) -> Iterator[bytes]:
    """Each row as a JSON record in its line, so that lines keep their numbers; the header's is blank, and so
    are those of rows that aren't records, which ``bad`` gets. ``columns``: fields whose column has another
    name.

    Raises CommandFailed where the header lacks a column that is needed.
    """
    lines = iter(stream)
    text = next(lines, b"").decode("utf-8", "replace").removeprefix("\ufeff")
    if not text:
        return
    names = _header(text)
    _check_header(names, columns)
    yield b"\n"
    fields = {columns.get(field, field): field for field in FIELDS}
    read = [1]

    def rest() -> Iterator[str]:
        for line in lines:
            read[0] += 1
            yield line.decode("utf-8", "surrogateescape")
        yield _END

    given = 1
    for cells in _rows(rest(), _delimiter(text)):
        if cells == [_END]:
            return
        yield from [b"\n"] * (read[0] - given - 1)  # the lines of a cell with line ends in it
        given = read[0]
        if not cells:
            yield b"\n"
        elif cells[-1].endswith(_END):
            bad(given, "csv", "the quotes of its last cell have no end")
            yield b"\n"
        elif len(cells) > len(names):
            bad(given, "csv", f"{len(cells)} cells under a header of {len(names)}")
            yield b"\n"
        else:
            yield _record(names, fields, cells)


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Raises CommandFailed for a cell that is far too long, as where quotes have no end."""
    csv.field_size_limit(_MOST_CELL_CHARACTERS)
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        yield from rows
    except csv.Error as error:
        raise CommandFailed(f"--format csv: line {rows.line_num + 1}: {error}") from None


def _check_header(names: list[str], columns: Mapping[str, str]) -> None:
    missing = [field for field in NEEDED if columns.get(field, field) not in names]
    missing += [] if any(columns.get(each, each) in names for each in TIMES) else [TIMES[0]]
    missing += [field for field in columns if field not in missing and columns[field] not in names]
    if missing:
        raise CommandFailed(
            f"--format csv: there is no column for {', '.join(missing)}; the header has {', '.join(names)}. "
            f"If a column has another name: --column {missing[0]}=NAME"
        )


def _record(names: list[str], fields: Mapping[str, str], cells: list[str]) -> bytes:
    """A row as JSON; empty cells are left out."""
    record: dict[str, object] = {}
    properties: dict[str, object] = {}
    for name, cell in zip(names, cells, strict=False):
        if cell == "":
            continue
        field = fields.get(name)
        if field is None:
            properties[name.removeprefix("properties.")] = _value(cell)
        else:
            record[field] = _value(cell) if field in TIMES else cell
    if properties:
        record["properties"] = properties
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _value(cell: str) -> object:
    """A number as JSON writes it is a number (``007`` isn't), ``true`` and ``false`` are booleans."""
    if _NUMBER.fullmatch(cell):
        number = float(cell) if any(each in cell for each in ".eE") else int(cell)
        return number if abs(number) < 1 << 63 else cell
    return _CONSTANTS.get(cell, cell)
