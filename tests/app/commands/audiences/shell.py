"""``turnstile audiences`` run in this process, on a broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

TWO = """\
audiences:
  - {id: keen, name: Keen, rule: {event: view, count: {gte: 2}, within: 1h}}
  - {id: buyer, name: Buyer, rule: {all: [{event: buy}, {attribute: country, eq: DE}]}}
"""

Told = Callable[..., tuple[object, list[str], list[str]]]
"""Runs a command: exit code, lines of standard output and of standard error."""


def published(told: Told, file: Path, *options: str) -> list[str]:
    code, out, err = told("apply", "--yes", "--no-wait", "--no-estimate", *options, str(file))
    assert code == 0, err
    return out
