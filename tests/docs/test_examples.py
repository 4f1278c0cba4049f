"""Every example of the README and the pages parses, and every audience in them, the demo and the benchmarks
does what its description says: cases stand beside it, or in ``examples.cases.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from agents.connections.parse import parse_connections
from agents.connections.parse_kinds import PARSERS as CONNECTION_KINDS
from agents.deliver.definitions.parse import parse_destinations
from agents.pushes.contract.parse import parse_pushes
from app.simulate.case_report import report
from app.simulate.cases import load_cases, run_cases
from rules.parse.rule import KINDS
from tests import ROOT

READER = YAML(typ="safe", pure=True)
FENCE = re.compile(r"^```(ya?ml|jsonl?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CASES: dict[str, Any] = READER.load((ROOT / "tests/docs/examples.cases.yaml").read_text())
WITH_ELLIPSIS = {"docs/contracts.md"}
"""JSON with texts and bodies cut short, to read only."""


@dataclass(frozen=True)
class Example:
    place: str
    """The page, or ``demo`` or ``bench``."""
    kind: str
    text: str

    @property
    def data(self) -> Any:
        return READER.load(self.text)

    @property
    def key(self) -> str:
        """How ``examples.cases.yaml`` calls an audience or a rule."""
        return f"{self.place} {self.data.get('id') or self.text.splitlines()[0]}"


def examples() -> Iterator[Example]:
    for page in PAGES:
        for kind, text in FENCE.findall(page.read_text(encoding="utf-8")):
            yield Example(str(page.relative_to(ROOT)), kind, text)
    for file in sorted((ROOT / "app/demo/audiences").glob("*.yaml")):
        yield Example("demo", "yaml", file.read_text(encoding="utf-8"))
    for each in READER.load((ROOT / "bench/workload/audiences.yaml").read_text())["audiences"]:
        yield Example("bench", "yaml", json.dumps(each))


ALL = list(examples())
IN_YAML = [each for each in ALL if each.kind in ("yaml", "yml")]


def is_push(data: object) -> bool:
    return isinstance(data, dict) and {"audience", "connection"} <= data.keys()


def is_audience(example: Example) -> bool:
    data = example.data
    if not isinstance(data, dict) or "cases" in data or "user_id" in data or is_push(data):
        return False  # no definition, one with its cases, or a mapping of records, which has some of the keys
    return "rule" in data or bool(KINDS.keys() & {*data})


AUDIENCES = [each for each in IN_YAML if is_audience(each)]


def failures(text: str, folder: Path) -> list[str]:
    file = folder / "example.cases.yaml"
    file.write_text(text, encoding="utf-8")
    (ready,) = load_cases([file], 1000)
    outcomes = list(run_cases(ready))
    assert outcomes
    return [line for outcome in outcomes if not outcome.passed for line in report(outcome)]


def test_examples_are_found() -> None:
    assert {"README.md", "docs/language.md", "demo", "bench"} <= {each.place for each in AUDIENCES}
    assert len(AUDIENCES) >= 35


@pytest.mark.parametrize("example", IN_YAML, ids=lambda each: f"{each.place} {each.text.splitlines()[0]}")
def test_yaml_examples_parse(example: Example) -> None:
    data = example.data
    assert isinstance(data, dict | list)
    if isinstance(data, dict) and data.get("kind") in CONNECTION_KINDS:
        is_connection = "use" in data or "sftp" in data or "object_store" in data
        parse = parse_connections if is_connection else parse_destinations
        assert parse(example.text, example.place)[1] == []
    if is_push(data):
        assert parse_pushes(example.text, example.place)[1] == []


@pytest.mark.parametrize(
    "example", [each for each in ALL if each.kind.startswith("json")], ids=lambda e: e.place
)
def test_json_examples_parse(example: Example) -> None:
    found, rest = [], example.text.replace("…", "x") if example.place in WITH_ELLIPSIS else example.text
    while rest := rest.strip():
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:]
    assert found


@pytest.mark.parametrize("example", AUDIENCES, ids=lambda each: each.key)
def test_an_audience_does_what_its_description_says(example: Example, tmp_path: Path) -> None:
    assert example.key in CASES, "it needs a case in tests/docs/examples.cases.yaml"
    data = example.data
    audience = data if "rule" in data else {"id": "example", "name": "Example", "rule": data}
    cases = CASES[example.key]
    assert any("enter" in each for case in cases for each in case["transitions"])
    assert failures(json.dumps({"audiences": [audience], "cases": cases}), tmp_path) == []


def test_no_case_is_of_an_example_that_is_gone() -> None:
    assert CASES.keys() - {each.key for each in AUDIENCES} == set()


def test_cases_that_read_the_definition_of_another_page_pass(tmp_path: Path) -> None:
    """Cases under ``files`` are of the definition that the language page begins with."""
    (definition,) = (each for each in AUDIENCES if each.key == "docs/language.md cart_abandoners")
    (tmp_path / "cart_abandoners.yaml").write_text(definition.text, encoding="utf-8")
    others = [
        each for each in IN_YAML if isinstance(each.data, dict) and {"files", "cases"} <= each.data.keys()
    ]
    assert others
    for each in others:
        assert failures(each.text, tmp_path) == []
