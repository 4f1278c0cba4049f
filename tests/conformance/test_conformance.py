"""The language's own cases, one file for each node, written from the specification: the pipeline passes
them, and so does the brute-force model, to every field of every transition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.simulate.case_report import report
from app.simulate.cases import CaseResult, Ready, compare, load_cases, run_cases
from rules.cases.case import Case
from rules.parse.document import plain
from tests.model import Model

FILES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_pipeline_does_as_the_cases_say(path: Path) -> None:
    outcomes = outcomes_of(path)
    assert outcomes
    told = [line for outcome in outcomes if not outcome.passed for line in report(outcome)]
    assert not told, "\n".join(told)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_model_does_as_the_cases_say(path: Path) -> None:
    (ready,) = load_cases([path], 1000)
    for case in ready.source.cases:
        bodies = list(modelled(ready, case))
        only = [body for body in bodies if not case.only or body["audience"] in case.only]
        wrong = [line for line in compare(case.transitions or (), only) if not line.is_right]
        assert case.transitions is None or not wrong, f"{case.name}: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_pipeline_and_the_model_agree_on_the_cases(path: Path) -> None:
    (ready,) = load_cases([path], 1000)
    for outcome in outcomes_of(path):
        wanted = list(modelled(ready, outcome.case))
        made = [{name: body[name] for name in wanted[0]} for body in outcome.transitions if wanted]
        assert in_users_order(made) == in_users_order(wanted), outcome.case.name


def outcomes_of(path: Path) -> list[CaseResult]:
    (ready,) = load_cases([path], 1000)
    return list(run_cases(ready))


def modelled(ready: Ready, case: Case) -> Iterator[dict[str, Any]]:
    """The bodies that the model expects; what a case says of members is checked on the way."""
    definitions: Any = json.loads(json.dumps([plain(each) for each in ready.source.definitions]))
    model = Model(definitions, created_ms=case.start_ms)
    expected = sorted(case.expected, key=lambda each: each.at_ms)
    for given in case.events:
        while expected and expected[0].at_ms < given.at_ms:
            check(model, expected.pop(0), case)
        model.record(given.body, given.at_ms)
    for each in expected:
        check(model, each, case)
    model.advance(case.until_ms + 1)
    for bodies in model.expected.values():
        yield from bodies


def check(model: Model, expected: Any, case: Case) -> None:
    inside = model.members(expected.user_id, expected.at_ms)
    assert inside.keys() >= set(expected.inside), f"{case.name} at {expected.at_ms}"
    assert not inside.keys() & set(expected.outside), f"{case.name} at {expected.at_ms}"


def in_users_order(bodies: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for body in bodies:
        found.setdefault(str(body["user_id"]), []).append(body)
    return found
