"""``turnstile simulate`` of files in other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.failures import CommandFailed

RULE = "{id: buyers, name: Buyers, rule: {event: buy, count: {gte: 2}}}"
AT = "2026-11-22T01:02:03Z"
SETTINGS = """
topics: {events: [shop, web]}
sources:
  formats:
    - {topic: shop, format: mapping, mapping: {user_id: who, event: what, time: when}}
"""


def simulate(tmp_path: Path, lines: list[Any], *more: str) -> tuple[int, list[str], str]:
    (tmp_path / "audiences.yaml").write_text(RULE)
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    arguments = ["--audiences", str(tmp_path), "--events", str(tmp_path / "events.jsonl")]
    arguments = ["simulate", "--audiences", str(tmp_path / "audiences.yaml"), *arguments[2:]]
    result = CliRunner().invoke(cli, [*arguments, "--settings", str(tmp_path / "settings.yaml"), *more])
    if isinstance(result.exception, CommandFailed):
        raise result.exception
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return result.exit_code, [f"{each['user_id']} {each['at']}" for each in found], result.stderr


def test_a_file_of_segment_s_calls_and_batches(tmp_path: Path) -> None:
    call = {"type": "track", "userId": 7, "event": "buy", "timestamp": AT}
    lines = [call, {"batch": [call, {"type": "track", "userId": 7}]}]
    code, found, told = simulate(tmp_path, lines, "--format", "segment")
    assert (code, found) == (3, ["7 2026-11-22T01:02:03.000Z"])
    assert "events.jsonl:2: event: " in told


def test_a_file_as_a_source_topic_has_it(tmp_path: Path) -> None:
    line = {"who": "ann", "what": "buy", "when": AT}
    assert simulate(tmp_path, [line, [line]], "--source", "shop")[:2] == (0, ["ann 2026-11-22T01:02:03.000Z"])


def test_native_lists_and_lines_that_concern_nobody(tmp_path: Path) -> None:
    line = {"user_id": 5, "event": "buy", "timestamp": AT, "note": "\ud800"}
    assert simulate(tmp_path, [[line, line]])[:2] == (0, ["5 2026-11-22T01:02:03.000Z"])
    item = {"type": "item_set", "item_id": "1", "item_type": "a"}
    buy = {"type": "track", "distinct_id": "ann", "event": "buy"}
    code, found, told = simulate(tmp_path, [item, buy], "--format", "sensors")
    assert (code, found) == (3, [])
    assert "events.jsonl:2: timestamp: no record of the line says when it happened" in told


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--format", "segmant"), "did you mean 'segment'"),
        (("--source", "shp"), "did you mean 'shop'"),
        (("--source", "shop", "--format", "native"), "leave out --format"),
        (("--format", "mapping"), "needs settings of its own"),
    ],
)
def test_what_is_no_format_is_told(tmp_path: Path, more: tuple[str, ...], text: str) -> None:
    with pytest.raises(CommandFailed, match=text):
        simulate(tmp_path, [], *more)
