"""Hostile ids and labels arrive as they were, or are refused by name: whole files and records, read back by
the standard library."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pushes.contract.member import Member
from agents.pushes.contract.parse_content import DELIMITERS
from agents.pushes.contract.push import AttributeColumn, Content, IdColumn, RowFormat
from agents.pushes.contract.rows import read_frames
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.targets.stream import Written, pieces_of
from tests.pushes.targets.spools import no_progress, spooled
from tests.strategies.fuzzing import usual

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "|x", "%0A=1", "＝1", "'=1"]
BETWEEN = [",", ";", "|", "\t", '"', '""', '",', "\n", "\r", "\r\n", '"\r\n"', "\\", "'", "a,b", "x\r\ny,z"]
STRANGE = ["\ufeff", "\u2028", "\x85", "\x1a", "\x1b[2J", "\u202e", "e\u0301", "😀", "null", "NaN", " pad "]
SIZES = ["x" * 10_240, '"' * 10_240, ",\n" * 5_120]
REFUSED = ["\0", "a\0b", "\ud800", "ok\udc00"]
Rows = list[tuple[str, str, object, object]]
COLUMNS = ("a, first", 'the "b"')

FINE = st.one_of(
    st.sampled_from([*FORMULAS, *BETWEEN, *STRANGE, *SIZES]),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
)
TEXTS = st.one_of(FINE, st.sampled_from(REFUSED))
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(FINE, max_size=2),
    st.dictionaries(st.sampled_from(["k", ",", '"']), FINE, max_size=2),
)
IDS = TEXTS.filter(lambda text: bool(text) and not text.isspace())
ROWS = st.lists(st.tuples(IDS, IDS, VALUES, VALUES), min_size=1, max_size=5)


def list_of(folder: Path, format: RowFormat, rows: Rows) -> SpooledList:
    content = Content(
        ids=(IdColumn("user_id"), IdColumn("idfa", column="IDFA")),
        attributes=tuple(AttributeColumn((key,), name) for key, name in zip("ab", COLUMNS, strict=True)),
        format=format,
    )
    members = [Member(user, {"idfa": idfa}, {"a": a, "b": b}, 0) for user, idfa, a, b in rows]
    return spooled(folder, content, [members[:2], [], members[2:]])


def ids_and_values(rows: Rows) -> Rows:
    """A row for each id."""
    return [(kind, id, a, b) for u, i, a, b in rows for kind, id in (("user_id", u), ("IDFA", i))]


def has_half_a_pair(value: object) -> bool:
    return isinstance(value, str) and any(0xD800 <= ord(each) < 0xE000 for each in value)


def has_nul(value: object) -> bool:
    return isinstance(value, str) and "\0" in value


def file_of(list_: SpooledList) -> bytes:
    return b"".join(pieces_of(list_, Written(), no_progress))


EACH: Rows = [
    ("u" + text, text if text.strip() else f"{text}i", text, [text])
    for text in (*FORMULAS, *BETWEEN, *STRANGE, *SIZES)
]
EACH += [("u", text, text, None) for text in REFUSED]
FORMATS = [
    RowFormat("csv", packed, header=header, delimiter=delimiter, quote_all=quote_all, bom=bom)
    for packed, header, bom in ((False, True, False), (True, True, True), (False, False, True))
    for delimiter in DELIMITERS
    for quote_all in (False, True)
]


def check_csv(format: RowFormat, rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = file_of(list_of(Path(folder), format, rows))
    text = (gzip.decompress(data) if format.gzip else data).decode("utf-8-sig" if format.bom else "utf-8")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=format.delimiter, strict=True)
    found = list(lines)
    if format.header:
        assert found.pop(0) == ["id_type", "id", "encryption", *COLUMNS]
    wanted = [
        (kind, id, a, b)
        for kind, id, a, b in ids_and_values(rows)
        if not any(has_half_a_pair(each) or has_nul(each) for each in (id, a, b))
    ]
    assert [line[:3] for line in found] == [[kind, id, "plain"] for kind, id, *_ in wanted]
    for line, (_, _, *values) in zip(found, wanted, strict=True):
        for text, value in zip(line[3:], values, strict=True):
            if isinstance(value, str) or value is None:
                assert text == (value or "")
            else:
                assert json.loads(text) == value


def check_json(format: RowFormat, rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = file_of(list_of(Path(folder), format, rows))
    lines = (gzip.decompress(data) if format.gzip else data).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == wanted_objects(rows)


def check_records(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        list_ = list_of(Path(folder), RowFormat("kafka", empty="null"), rows)
        found = [each for part in list_.parts for each in read_frames(io.BytesIO(part.path.read_bytes()))]
    wanted = wanted_objects(rows)
    assert [json.loads(value) for _, value in found] == wanted
    assert [key.decode() for key, _ in found] == [each["id"] for each in wanted]


def wanted_objects(rows: Rows) -> list[dict[str, Any]]:
    return [
        {
            "id_type": kind,
            "id": id,
            "encryption": "plain",
            **{name: None if each == "" else each for name, each in zip(COLUMNS, (a, b), strict=True)},
        }
        for kind, id, a, b in ids_and_values(rows)
        if not any(has_half_a_pair(each) for each in (id, a, b))
    ]


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_each_hostile_value_in_a_file_of_csv(format: RowFormat) -> None:
    check_csv(format, EACH)


@settings(max_examples=usual(50))
@given(st.sampled_from(FORMATS), ROWS)
def test_rows_in_a_file_of_csv(format: RowFormat, rows: Rows) -> None:
    check_csv(format, rows)


@pytest.mark.parametrize("packed", [False, True])
def test_each_hostile_value_in_a_file_of_json_lines(packed: bool) -> None:
    check_json(RowFormat("jsonl", packed, "null"), EACH)


@settings(max_examples=usual(25))
@given(ROWS)
def test_rows_in_a_file_of_json_lines(rows: Rows) -> None:
    check_json(RowFormat("jsonl", empty="null"), rows)


def test_each_hostile_value_in_records() -> None:
    check_records(EACH)


@settings(max_examples=usual(25))
@given(ROWS)
def test_rows_in_records(rows: Rows) -> None:
    check_records(rows)
