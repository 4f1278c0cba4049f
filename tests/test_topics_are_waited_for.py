"""Whoever changes topics waits until it can be seen: an admin client is asked to in two places only."""

from __future__ import annotations

import re
from pathlib import Path

from tests import ROOT

CHANGES = re.compile(
    r"\.(create_topics|create_partitions|delete_topics|alter_configs)\(|\bSetConfigsRequest\(\["
)
WAITS = {"agents/topics/make.py", "tests/stage/topics.py"}
AT_ITS_END = {"app/demo/stage.py"}
"""It deletes its topics, and nobody looks at them again."""


def lines_that_change_topics(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if CHANGES.search(line)]


def test_topics_are_changed_only_where_it_is_waited_for() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for package in ("rules", "tables", "agents", "app", "bench", "tests")
        for path in (ROOT / package).rglob("*.py")
        if (lines := lines_that_change_topics(path))
    }
    assert {path: lines for path, lines in found.items() if path not in WAITS | AT_ITS_END} == {}
    assert found.keys() == WAITS | AT_ITS_END, "each is still needed"
