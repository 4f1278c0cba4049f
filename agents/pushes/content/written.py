"""One row as bytes: JSON, or a line of CSV (RFC 4180)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
import orjson

from agents.pushes.contract.push import RowFormat

Write: TypeAlias = Callable[[Sequence[object]], bytes]
"""The bytes of a row, given its values in the order of the columns.

Raises RowRefused, and UnicodeEncodeError for half a surrogate pair.
"""

OMITTED: Final = object()
"""In place of a value: the row doesn't have that field."""


class RowRefused(Exception):
    """The format can't hold this row. The text begins with a code; it names columns, never values."""


def json_writer(names: Sequence[str], end: bytes) -> Write:
    """One object a row, ``end`` after it."""

    def write(values: Sequence[object]) -> bytes:
        row = dict(zip(names, values, strict=True))
        if OMITTED in values:
            row = {name: value for name, value in row.items() if value is not OMITTED}
        try:
            return orjson.dumps(row) + end
        except TypeError:  # orjson's, also of half a surrogate pair
            wrong = ", ".join(name for name, value in row.items() if not _is_json(value))
            raise RowRefused(f"invalid_value: JSON can't hold the value of {wrong}") from None

    return write


def _is_json(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def csv_writer(format: RowFormat, names: Sequence[str]) -> Write:
    """Values in quotes where they must be, or all of them; CR LF after each line.

    Texts are written as they are. What isn't a text is written as JSON has it, null as nothing.
    """
    delimiter, quotes_all, between = format.delimiter, format.quote_all, len(names) - 1
    is_special = re.compile(r'["\r\n\0]').search
    needs_quotes = re.compile(f'["\r\n{re.escape(delimiter)}]').search

    def write(values: Sequence[object]) -> bytes:
        texts = [each if type(each) is str else _text(each) for each in values]
        line = delimiter.join(texts)
        # Most lines have nothing to quote, and are seen through at once.
        if quotes_all or is_special(line) or line.count(delimiter) != between:
            if "\0" in line:
                wrong = ", ".join(name for name, text in zip(names, texts, strict=True) if "\0" in text)
                raise RowRefused(f"nul: CSV can't hold the NUL in {wrong}")
            line = delimiter.join(
                '"' + text.replace('"', '""') + '"' if quotes_all or needs_quotes(text) else text
                for text in texts
            )
        return (line + "\r\n").encode()

    return write


def _text(value: object) -> str:
    return "" if value is None or value is OMITTED else msgspec.json.encode(value).decode()
