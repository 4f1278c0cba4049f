from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli import cli
from app.simulate.simulate import Simulation
from rules.parse.definitions import load_definitions
from tests.strategies.fuzzing import usual

CASES = Path(__file__).parent / "simulations"
RUN = CliRunner()


def simulate(case: Path, *more: str) -> tuple[int, str, str]:
    arguments = ["simulate", "--audiences", str(case / "audiences.yaml"), *more]
    if (case / "until").exists():
        arguments += ["--until", (case / "until").read_text().strip()]
    result = RUN.invoke(cli, arguments, input=(case / "events.jsonl").read_bytes())
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_a_log_gives_the_transitions_that_are_written_beside_it(case: Path) -> None:
    code, out, _ = simulate(case, "--events", "-")
    assert out == (case / "expected.jsonl").read_text()
    assert code == (3 if case.name == "lines" else 0)


def test_bad_lines_are_told_counted_and_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "lines")
    result = RUN.invoke(
        cli,
        ["simulate", "--audiences", ".", "--events", "events.jsonl", "--out", str(tmp_path / "out.jsonl")],
    )
    lines = result.stderr.splitlines()
    told, summary = [each for each in lines if each.startswith("events.jsonl:")], lines[-1]
    assert told == [
        "events.jsonl:2: not_json: JSON is malformed: invalid character (byte 4)",
        "events.jsonl:4: timestamp: neither timestamp nor time is given",
        "events.jsonl:5: invalid: Expected `object`, got `int`",
        "events.jsonl:6: timestamp: 'yesterday' is not an RFC 3339 instant",
        "events.jsonl:7: time: an instant is an RFC 3339 string or a number, not bool",
        "events.jsonl:8: user_id: user_id must have 1 to 512 characters and no NUL, got ''",
        "events.jsonl:9: time: 'when?' is not an RFC 3339 instant",
        "events.jsonl:10: event: event must be a name of 1 to 512 characters",
    ]
    assert summary.startswith("10 records, 2 transitions, 8 bad lines, ")
    assert result.exit_code == 3
    assert (tmp_path / "out.jsonl").read_text() == Path("expected.jsonl").read_text()


def test_without_until_the_clock_stops_at_the_last_record() -> None:
    case = CASES / "windows"
    arguments = ["simulate", "--audiences", str(case), "--events", str(case / "events.jsonl")]
    out = RUN.invoke(cli, arguments).stdout.splitlines()
    # The last one is a timer at the very instant of the last record, which its clock hasn't passed.
    assert out == (case / "expected.jsonl").read_text().splitlines()[:-1]


@pytest.mark.parametrize(
    ("until", "last"),
    [("2026-01-01T11:20:00Z", False), ("2026-01-01T11:20:00.001Z", True), ("1767266400001", True)],
)
def test_until_is_an_instant_that_timers_must_be_before(until: str, last: bool) -> None:
    case = CASES / "windows"
    events = str(case / "events.jsonl")
    result = RUN.invoke(cli, ["simulate", "--audiences", str(case), "--events", events, "--until", until])
    assert len(result.stdout.splitlines()) == (8 if last else 7)


def test_audiences_that_are_computed_once_are_so_when_they_were_created(tmp_path: Path) -> None:
    definition, events = tmp_path / "once.yaml", tmp_path / "events.jsonl"
    definition.write_text("{id: once, name: Once, type: batch, schedule: once, rule: {event: buy}}")
    times = {"before": 1, "at": 2, "after": 3}
    lines = [{"user_id": user, "event": "buy", "timestamp": f"2024-05-0{day}"} for user, day in times.items()]
    events.write_text("\n".join(map(json.dumps, lines)))
    arguments = ["simulate", "--audiences", str(definition), "--events", str(events)]
    result = RUN.invoke(cli, [*arguments, "--created", "2024-05-02"])
    (made,) = map(json.loads, result.stdout.splitlines())
    assert (made["user_id"], made["at"]) == ("before", "2024-05-02T00:00:00.000Z")
    silent = RUN.invoke(cli, arguments)
    assert silent.stdout == ""
    told = "'once': computed once, when created: nobody gets in without --created TIME"
    assert silent.stderr.startswith(told)


AUDIENCES = load_definitions(
    [
        (
            "audiences.yaml",
            """
audiences:
  - {id: a, name: A, rule: {event: e, count: {gte: 2}, within: 10s}}
  - {id: b, name: B, rule: {not: {event: e, within: 3s}}}
  - {id: c, name: C, rule: {any: [{event: f, within: 4s}, {event: e, count: {gte: 3}, within: 20s}]}}
""",
        )
    ]
)
RECORD = st.tuples(st.sampled_from("uvw"), st.sampled_from("efg"), st.integers(-3, 6), st.integers(0, 5))


@given(st.lists(RECORD, max_size=40), st.integers(1, 7))
@settings(max_examples=usual(60), deadline=None)
def test_the_number_of_records_in_a_step_changes_nothing(
    records: list[tuple[str, str, int, int]], chunk: int
) -> None:
    lines, now = [], 1_767_261_600
    for user, event, step, late in records:
        now += step
        line = {"user_id": user, "event": event, "timestamp": now, "time": now - late}
        lines.append(json.dumps(line).encode())
    one, many = (run(lines, size) for size in (1, chunk + 1))
    assert one == many
    instants = [json.loads(line)["at"] for line in one.splitlines()]
    assert instants == sorted(instants)


def run(lines: list[bytes], chunk: int) -> bytes:
    out = io.BytesIO()
    Simulation(AUDIENCES, out, pytest.fail, chunk=chunk).run(lines, 1_767_262_000_000)
    return out.getvalue()


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    out = io.BytesIO()
    lines = [b'\xef\xbb\xbf{"user_id": "u", "event": "f", "time": 1767261600}\r\n', b"\r\n"]
    summary = Simulation(AUDIENCES, out, pytest.fail).run(lines)
    assert (summary.records, summary.bad) == (1, 0)
    assert [json.loads(line)["audience"] for line in out.getvalue().splitlines()] == ["b", "c"]
