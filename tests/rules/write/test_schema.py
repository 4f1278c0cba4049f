from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from app.cli import cli
from rules.model import language
from rules.parse.definitions import parse_definitions
from rules.parse.document import Node
from rules.parse.text import parse_text
from rules.write.audience import to_document
from rules.write.schema import definitions_schema
from tests import ROOT
from tests.audiences import audiences
from tests.strategies.fuzzing import usual

DEFINITIONS = ROOT / "tests/rules/parse/definitions"
SCHEMA = Draft202012Validator(definitions_schema())
ABOUT_SHAPE = {"unknown_key", "missing_key", "wrong_type", "empty", "conflict", "window", "unknown_operator"}
"""Codes of problems that the schema has to see, too. Of the others it sees what it can."""


def plain(node: Node) -> object:
    value = node.value
    if isinstance(value, Mapping):
        return {key: plain(entry.node) for key, entry in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def documents(path: Path) -> list[object]:
    found, problems = parse_text(path.read_text(), path.name)
    assert problems == []
    return [plain(each) for each in found]


def faults(document: object) -> list[str]:
    return [error.message for error in SCHEMA.iter_errors(document)]


def faulty_rules() -> Iterator[tuple[str, object]]:
    """The parts of the rules in the faulty files, each by itself."""
    for name in ("rule", "composition", "windows", "aggregates", "bounds", "sequences", "followed", "dates"):
        found, _ = parse_text((DEFINITIONS / f"{name}.yaml").read_text(), name)
        document = plain(found[0])
        assert isinstance(document, dict)
        (parts,) = document["rule"].values()
        yield from ((f"{name}[{at}]", part) for at, part in enumerate(parts))


FAULTY = dict(faulty_rules())
SHIPPED = (ROOT / "bench/workload/audiences.yaml", *ROOT.glob("app/demo/audiences/*.yaml"))
VALID = [DEFINITIONS / "valid.yaml", *SHIPPED]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(definitions_schema())


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_valid_definitions_pass(path: Path) -> None:
    for document in documents(path):
        assert faults(document) == []


@settings(max_examples=usual(60), deadline=None)
@given(audiences)
def test_whatever_the_parser_takes_the_schema_takes(audience: language.Audience) -> None:
    assert faults(to_document(audience)) == []


@pytest.mark.parametrize("rule", FAULTY.values(), ids=FAULTY)
def test_the_schema_sees_every_fault_of_shape_and_none_where_there_is_none(rule: object) -> None:
    document = {"id": "x", "name": "X", "rule": rule}
    _, problems = parse_definitions(json.dumps(document), "x.json")
    codes = {problem.code for problem in problems}
    if codes & ABOUT_SHAPE:
        assert faults(document)
    elif not codes:
        assert faults(document) == []


@pytest.mark.parametrize(
    "head",
    [
        {"id": "bad-id"},
        {"id": ""},
        {"name": " "},
        {"name": None},
        {"project": "two words"},
        {"type": "realtme"},
        {"schedule": "daily"},
        {"type": "instant", "schedule": "daily"},
        {"type": "batch", "schedule": "dayly"},
        {"type": "batch", "schedule": "0 6 * *"},
        {"backfill": "silent"},
        {"backfill": {"existing": "loud"}},
        {"backfill": {"history": None}},
        {"backfill": {"history": "everything"}},
        {"backfill": {"members": "silent"}},
        {"labels": "vip"},
        {"labels": [""]},
        {"descripton": "x"},
        {"rule": {}},
        {"rule": {"event": "a", "attribute": "b", "eq": 1}},
        {"rule": {"event": "a", "within": "7 d"}},
        {"rule": {"event": "a", "within": "0h"}},
        {"rule": {"event": "a", "where": {"x": {"gte": [1]}}}},
    ],
    ids=str,
)
def test_a_wrong_head_does_not_pass(head: dict[str, object]) -> None:
    assert faults({"id": "x", "name": "X", "rule": {"event": "a"}}) == []
    assert faults({"id": "x", "name": "X", "rule": {"event": "a"}} | head)
    assert faults({"audiences": [{"id": "x", "name": "X", "rule": {"event": "a"}} | head]})


def test_a_document_needs_a_definition() -> None:
    for document in ({}, [], "x", {"audiences": []}, {"audiences": [{"id": "x"}]}, {"id": "x", "name": "X"}):
        assert faults(document)


def test_faults_are_told_in_the_kind_of_rule_that_was_meant() -> None:
    document = {"id": "x", "name": "X", "rule": {"any": [{"event": "a", "withn": "1h"}]}}
    (error,) = SCHEMA.iter_errors(document)
    assert list(error.absolute_path) == ["rule", "any", 0]
    assert "'withn' was unexpected" in error.message


def test_the_command_prints_it_or_writes_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["schema"])
    assert json.loads(printed.stdout) == definitions_schema()
    file = tmp_path / "audience.schema.json"
    assert CliRunner().invoke(cli, ["schema", "--out", str(file)]).stdout == ""
    assert file.read_text() == printed.stdout
