"""The README's example does what the README shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from app.cli import cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = README.partition("## An audience and its effect")[2].partition("\n## ")[0]


def shown(told: str) -> list[dict[str, object]]:
    """The lines of JSON, of which the page shows some fields and then "…"."""
    lines = [line.replace(",…}", "}") for line in told.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def test_the_audience_has_the_effect_that_the_page_shows(tmp_path: Path) -> None:
    audience, events, told = (text for _, text in BLOCK.findall(SECTION))
    (tmp_path / "cart.yaml").write_text(audience)
    (tmp_path / "events.jsonl").write_text(events)
    (line,) = [each for each in told.splitlines() if each.startswith("$ turnstile ")]
    arguments = line.removeprefix("$ turnstile ").split()
    arguments = [str(tmp_path / each) if (tmp_path / each).is_file() else each for each in arguments]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    transitions = [json.loads(each) for each in done.stdout.splitlines() if each.startswith("{")]
    assert [
        {key: transition[key] for key in fields}
        for transition, fields in zip(transitions, shown(told), strict=True)
    ] == shown(told)
    assert "3 records, 2 transitions, 0 bad lines" in done.output
