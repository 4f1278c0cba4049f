from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from rules.model.computation import same_computation
from rules.model.language import Audience, Backfill, Schedule
from rules.parse.definitions import parse_definitions
from tests.audiences import audiences
from tests.strategies.fuzzing import usual

MET = {"name": "Other", "description": "?", "labels": ("x",), "backfill": Backfill("silent", 5)}
DECIDING: list[dict[str, Any]] = [
    {"id": "other"},
    {"project": "other"},
    {"timezone": "Asia/Tokyo"},
    {"type": "batch", "schedule": Schedule("daily")},
    {"type": "instant"},
]


def audience(rule: str) -> Audience:
    (parsed,), problems = parse_definitions(f"id: x\nname: X\nrule: {rule}", "x.yaml")
    assert problems == []
    return parsed.audience


@settings(max_examples=usual(50), deadline=None)
@given(audiences)
def test_what_people_read_is_no_computation(each: Audience) -> None:
    assert same_computation(each, replace(each, **MET))


@pytest.mark.parametrize("change", DECIDING, ids=str)
def test_what_decides_is_one(change: dict[str, Any]) -> None:
    before = audience("{event: e}")
    assert not same_computation(before, replace(before, **change))


def test_values_that_are_equal_to_python_only_are_not() -> None:
    before, after = audience("{event: e, where: {x: 1}}"), audience("{event: e, where: {x: true}}")
    assert not same_computation(before, after)
    assert not same_computation(before, audience("{event: e, where: {x: 2}}"))
