"""Files that people have: CSV, packed files, logs with thousands of bad lines; and what comes in the end."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.failures import CommandFailed
from app.simulate.bad_lines import KINDS, TOLD
from app.simulate.log_file import csv_records, looks_like

RUN = CliRunner()
DEFINITIONS = """
audiences:
  - {id: buyers, name: Buyers, rule: {event: purchase, where: {price: {gte: 50}}, within: 1d}}
  - {id: berlin, name: Berlin, rule: {event: purchase, where: {address.city: Berlin}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    return tmp_path


def simulate(content: bytes, *more: str) -> tuple[int, list[str], list[str]]:
    Path("events").write_bytes(content)
    result = RUN.invoke(cli, ["simulate", "--audiences", "a.yaml", "--events", "events", *more])
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def records(text: str, columns: dict[str, str] | None = None) -> list[object]:
    bad: list[object] = []
    lines = csv_records(
        text.encode().splitlines(keepends=True), columns or {}, lambda *each: bad.append(each)
    )
    return [None if line.isspace() else json.loads(line) for line in lines] + bad


def test_csv_with_a_header_is_read_by_the_names_of_its_columns() -> None:
    content = (
        b"event,time,user_id,price,id\npurchase,2024-05-01T10:00:00Z,u1,60,1\npurchase,1714557700,u2,40.5,2\n"
    )
    code, out, told = simulate(content, "--format", "csv")
    assert code == 0
    assert [(json.loads(line)["user_id"], json.loads(line)["audience"]) for line in out] == [("u1", "buyers")]
    assert told[:4] == [
        "at 2024-05-01T10:01:40.000Z:",
        "audience  members  enters  exits",
        "berlin    0        0       0",
        "buyers    1        1       0",
    ]
    assert told[4].startswith("2 records, 1 transition, 0 bad lines, ")


def test_numbers_are_numbers_and_empty_cells_are_nothing() -> None:
    head = "user_id,event,time,a,b.c,properties.d,e\n"
    row = records(head + "007,buy,1714557700,1.50,x,-2,\n")[1]
    assert row == {
        "user_id": "007",
        "event": "buy",
        "time": 1714557700,
        "properties": {"a": 1.5, "b.c": "x", "d": -2},
    }
    values = {
        "1e3": 1000.0,
        "007": "007",
        "1,5": "1,5",
        "true": True,
        "True": "True",
        "null": "null",
        " 1": " 1",
    }
    for text, value in values.items():
        row = records(f'user_id,event,time,a\nu,e,1,"{text}"\n')[1]
        assert isinstance(row, dict)
        assert row["properties"]["a"] == value
        assert type(row["properties"]["a"]) is type(value)


def test_rows_keep_their_line_numbers_over_cells_with_line_ends() -> None:
    text = 'user_id,event,time,a\nu,e,1,"x\ny"\n\nu,e,2,z\nu,e,3,z,more\n'
    assert records(text) == [
        None,
        None,
        {"user_id": "u", "event": "e", "time": 1, "properties": {"a": "x\ny"}},
        None,
        {"user_id": "u", "event": "e", "time": 2, "properties": {"a": "z"}},
        None,
        (6, "csv", "5 cells under a header of 4"),
    ]


def test_a_file_that_ends_in_quotes_gives_no_half_row(monkeypatch: pytest.MonkeyPatch) -> None:
    header, good = "user_id,event,time,text\n", 'u1,e,1,"two\nlines"\n'
    for rest in ('u2,e,2,"half', 'u2,e,2,"half\n', 'u2,e,2,"half\nof it\n'):
        found = records(header + good + rest)
        assert [each for each in found if isinstance(each, dict)] == [
            {"user_id": "u1", "event": "e", "time": 1, "properties": {"text": "two\nlines"}}
        ]
        assert found[-1] == (3 + rest.count("\n") + (not rest.endswith("\n")), "csv", found[-1][2])  # type: ignore[index]
        assert "have no end" in str(found[-1])
    monkeypatch.setattr("app.simulate.log_file._MOST_CELL_CHARACTERS", 10)
    with pytest.raises(CommandFailed, match="line 2: field larger than field limit"):
        records(header + "u1,e,1,0123456789ab\n")
    csv.field_size_limit(131_072)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_marks_between_cells_are_known_by_the_header(mark: str) -> None:
    text = "user_id,event,time,a\nu,e,1,z\n".replace(",", mark)
    assert records(text)[1] == {"user_id": "u", "event": "e", "time": 1, "properties": {"a": "z"}}


def test_columns_may_have_other_names() -> None:
    text = "customer,action,at,price\nu,e,1,5\n"
    row = records(text, {"user_id": "customer", "event": "action", "time": "at"})[1]
    assert row == {"user_id": "u", "event": "e", "time": 1, "properties": {"price": 5}}


def test_a_header_without_a_column_that_is_needed_is_refused() -> None:
    result = RUN.invoke(
        cli, ["simulate", "--audiences", "a.yaml", "--events", "-", "--format", "csv"], input="a,b\n1,2\n"
    )
    assert "there is no column for user_id, event, time; the header has a, b" in str(result.exception)
    assert result.stdout == ""


def test_of_many_equal_bad_lines_the_first_are_told_and_the_others_counted() -> None:
    content = b"user_id,event,time\n" + b"".join(b"u%d,e,%d\n" % (n, n) for n in range(11_545))
    code, _, told = simulate(content)
    assert code == 3
    assert told[0].startswith("events:1: not_json: ")
    assert told[1] == "events: this is CSV with the header user_id, event, time: --format csv reads it"
    assert told[TOLD + 1] == f"events: not_json: {11_546 - TOLD} more like it, the last in line 11546"
    assert told[-1].startswith("11546 records, 0 transitions, 11546 bad lines, ")
    assert len(told) == TOLD + 3


def test_kinds_of_bad_lines_are_told_apart_but_not_without_end() -> None:
    lines = [json.dumps({"user_id": "u", "event": "e", "time": f"{'x' * n}"}) for n in range(1, 200)]
    lines += [json.dumps({"user_id": "u", "event": "e"})] * 9
    _, _, told = simulate("\n".join(lines).encode())
    assert len(told) < (KINDS + 2) * (TOLD + 1)
    assert "events: timestamp: 4 more like it, the last in line 208" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"{}", mtime=0), "this is gzip"),
        (b"PK\x03\x04abc", "this is a zip or Excel file"),
        (b"PAR1\x15", "this is Parquet"),
        ("{}".encode("utf-16"), "this is UTF-16"),
        (b'[{"user_id": "u"},\n', "this is a JSON array"),
        (b"{\n", "this is JSON over several lines"),
        (b"<html>", "this is XML or HTML"),
        (b"\xef\xbb\xbfuser;event\n", "this is CSV with the header user, event"),
        (b"hello\n", ""),
        (b'{"user_id": "u", "event": }\n', ""),
    ],
)
def test_what_a_file_looks_like(content: bytes, told: str) -> None:
    found = looks_like(content)
    assert found.startswith(told) if told else found == ""


def test_repeats_and_dropped_samples_are_told(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        "id: a\nname: A\nrule: {event: e, sum: {property: x, gte: 5}, within: 7d}\n"
    )
    (folder / "settings.yaml").write_text("state: {max_samples: 2}\n")
    line = {"user_id": "u", "event": "e", "properties": {"x": 1}}
    lines = [json.dumps({**line, "id": f"{n // 2}", "time": 1714557700 + n}) for n in range(8)]
    _, _, told = simulate("\n".join(lines).encode(), "--settings", "settings.yaml")
    assert "4 records with an id that was there before: not counted again" in told
    assert "2 samples dropped: a user had more than state.max_samples" in told


def test_members_are_counted_at_the_instant_that_is_told() -> None:
    content = b'{"user_id": "u", "event": "purchase", "time": 1714557700, "properties": {"price": 50}}\n'
    _, _, told = simulate(content, "--until", "2024-06-01T00:00:00Z")
    assert told[0] == "at 2024-06-01T00:00:00.000Z:"
    assert told[3].split() == ["buyers", "0", "1", "1"]


def test_check_tells_warnings_and_strict_makes_them_errors(folder: Path) -> None:
    (folder / "b.yaml").write_text("id: b\nname: B\nrule: {attribute: vip, eq: yes}\n")
    loose, strict = (RUN.invoke(cli, ["check", "b.yaml", *more]) for more in ((), ("--strict",)))
    warning = (
        "b.yaml:3:28: warning: yes is text, not a boolean (at rule.eq) - write true; or 'yes' in quotes, "
    )
    warning += "if the text is meant"
    assert (loose.exit_code, loose.stderr.splitlines(), loose.stdout) == (
        0,
        [warning],
        "1 audience, 1 warning\n",
    )
    assert (strict.exit_code, strict.stderr.splitlines()) == (1, [warning, "1 warning"])


def test_check_tells_names_that_a_log_lacks(folder: Path) -> None:
    (folder / "b.yaml").write_text("id: b\nname: B\nrule: {event: purchas}\n")
    (folder / "log.csv").write_text("user_id,event,time\nu,purchase,1714557700\n")
    result = RUN.invoke(cli, ["check", "b.yaml", "--events", "log.csv", "--format", "csv"])
    assert result.exit_code == 0
    assert result.stderr == (
        "b.yaml:3:15: warning: no event 'purchas' is in the log (at rule) - did you mean 'purchase'?\n"
    )
