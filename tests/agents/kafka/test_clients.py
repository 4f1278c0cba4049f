"""Clients of Kafka are made in one place, so that where it is and how it is secured is said once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("rules", "tables", "agents", "app", "bench")
PLACES = {"agents/kafka/clients.py"}


def calls(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rsplit(".", 1)[-1]


def test_no_other_module_makes_a_client() -> None:
    files = {str(each.relative_to(ROOT)): each for name in PACKAGES for each in (ROOT / name).rglob("*.py")}
    found = {
        name: made
        for name, file in files.items()
        if (made := {each for each in calls(file) if each.startswith("AIOKafka")})
    }
    assert found.keys() == PLACES, f"make it with agents.kafka.clients: {found}"
