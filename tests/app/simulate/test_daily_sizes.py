"""``simulate --daily`` against one simulation for each midnight."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from app.cli import cli
from app.failures import CommandFailed
from rules.time.calendar import calendar_of
from rules.time.instants import format_instant
from tests.agents.estimate.logs import DAY_MS
from tests.agents.estimate.test_daily import DEFINITIONS, ZONE, bodies, simulated


def test_simulate_writes_the_sizes_of_all_days(tmp_path: Path) -> None:
    given = bodies(seed=3)
    definitions = [{"id": id, "name": id, **each} for id, each in DEFINITIONS.items()]
    (tmp_path / "a.json").write_text(json.dumps({"audiences": definitions}))
    lines = [json.dumps(body | {"timestamp": at_ms}) for at_ms, body in given]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    arguments = ["simulate", "--audiences", str(tmp_path / "a.json"), "--events", str(tmp_path / "log.jsonl")]
    daily, out = str(tmp_path / "daily.json"), str(tmp_path / "out.jsonl")
    until = given[-1][0] + 3 * DAY_MS
    done = CliRunner().invoke(
        cli, [*arguments, "--until", format_instant(until), "--daily", daily, "--out", out]
    )
    assert done.exit_code == 0, done.stderr
    found = {each["audience"]: each for each in json.loads(Path(daily).read_text())["audiences"]}
    assert found["lately"]["timezone"] == ZONE
    calendar = calendar_of(ZONE)
    days = {each: [day["users"] for day in found[each]["days"]] for each in DEFINITIONS}
    first = calendar.period("day", given[0][0])
    for number in range(len(days["lately"]) - 1):
        wanted = simulated(given, calendar.start("day", first + number + 1))
        assert {each: days[each][number] for each in ("lately", "quiet", "batch")} == {
            each: wanted[each] for each in ("lately", "quiet", "batch")
        }
    assert {each: sizes[-1] for each, sizes in days.items()} == simulated(given, until)
    assert "default/lately" in done.stderr

    both = CliRunner().invoke(cli, [*arguments, "--daily", "-"])
    assert isinstance(both.exception, CommandFailed)
