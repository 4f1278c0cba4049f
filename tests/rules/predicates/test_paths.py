from __future__ import annotations

from collections.abc import Mapping

import pytest

from rules.model import language
from rules.predicates.compiled import compile_predicate
from rules.predicates.paths import MISSING, lookup, prefixes_of


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"a": {"b": {"c": 1}}}, 1),
        ({"a": {"b": {"c": None}}}, None),
        ({"a": {"b": {}}}, MISSING),
        ({"a": {"b": [{"c": 1}]}}, MISSING),
        ({"a": "b"}, MISSING),
        ({"a": None}, MISSING),
        ({}, MISSING),
    ],
)
def test_a_dotted_path_reaches_into_objects_only(properties: Mapping[str, object], expected: object) -> None:
    assert lookup(properties, ("a", "b", "c")) is expected
    exists = compile_predicate(language.Test(("a", "b", "c"), "exists", True))
    assert exists(properties) is (expected not in (None, MISSING))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"a.b.c": 1, "a.b": {"c": 2}, "a": {"b": {"c": 3}}}, 1),
        ({"a.b": {"c": 2}, "a": {"b": {"c": 3}, "b.c": 4}}, 2),
        ({"a": {"b": {"c": 3}, "b.c": 4}}, 4),
        ({"a.b.c": None, "a": {"b": {"c": 3}}}, None),
        ({"a.b": 1, "a": {"b": {"c": 3}}}, MISSING),
        ({"a.b": {}, "a": {"b": {"c": 3}}}, MISSING),
        ({"a": {"b.c": None, "b": {"c": 3}}}, None),
        ({"b": 1, "c": 1, "b.c": 1}, MISSING),
    ],
)
def test_the_longest_prefix_that_is_a_key_wins_and_is_final(
    properties: Mapping[str, object], expected: object
) -> None:
    assert lookup(properties, ("a", "b", "c")) is expected


def test_the_prefixes_of_a_name_are_the_keys_that_may_lead_to_it() -> None:
    assert [*prefixes_of(("a", "b", "c"))] == ["a", "a.b", "a.b.c"]
    assert [*prefixes_of(("a",))] == ["a"]
