"""Clients of Kafka are made in one place, so that where it is and how it is secured is said once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("rules", "tables", "agents", "app", "bench")
PLACES = {"agents/kafka/clients.py"}
CLIENT = "AIOKafka"


def calls(file: Path) -> Iterator[str]:
    """The names by which a module calls what begins with ``AIOKafka``."""
    text = file.read_text()
    for node in ast.walk(ast.parse(text)) if CLIENT in text else ():
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name.startswith(CLIENT):
                yield name


def test_no_other_module_makes_a_client() -> None:
    files = {str(each.relative_to(ROOT)): each for name in PACKAGES for each in (ROOT / name).rglob("*.py")}
    found = {name: made for name, file in files.items() if (made := set(calls(file)))}
    assert found.keys() == PLACES, f"make it with agents.kafka.clients: {found}"
