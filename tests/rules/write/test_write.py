from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from rules.model import language
from rules.parse.definitions import parse_definitions
from rules.write.audience import to_document
from tests.audiences import audiences


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(audiences)
def test_an_audience_that_is_written_reads_back_equal(audience: language.Audience) -> None:
    document = json.dumps(to_document(audience))
    (parsed,), problems = parse_definitions(document, "published.json")
    assert problems == []
    assert parsed.audience == audience
    assert repr(parsed.audience) == repr(audience)  # 1, 1.0 and True are equal to Python


def test_tests_of_a_where_are_written_as_one_map_where_possible() -> None:
    text = "{id: x, name: X, rule: {event: a, where: {price: {gte: 5, lt: 9}, sku: [a, b]}, within: 14d}}"
    (parsed,), _ = parse_definitions(text, "x")
    assert to_document(parsed.audience)["rule"] == {
        "event": "a",
        "where": {"price": {"gte": 5, "lt": 9}, "sku": {"in": ["a", "b"]}},
        "within": "14d",
    }


@pytest.mark.parametrize(
    "where",
    [
        {"lines[].sku": {"eq": "hat"}},
        {"a[].b[]": {"gt": 1, "lt": 3}},
        {"lines": {"some": {"sku": {"eq": "hat"}, "qty": {"gte": 2}}}},
        {"lines": {"some": {"1": {"eq": 2}}}},
        {"m[]": {"some": {"n": {"eq": 1}}}},
        {"lines[].sku": {"eq": "hat"}, "lines": {"exists": True, "none": {"sku": {"eq": "bag"}}}},
        {"all": [{"lines[].qty": {"gte": 2}}, {"lines[].qty": {"lt": 5}}]},
        {"orders[].lines": {"every": {"sku": {"ne": None}}}},
    ],
    ids=str,
)
def test_names_in_lists_are_written_as_short_as_they_can_be(where: dict[str, object]) -> None:
    text = json.dumps({"id": "x", "name": "X", "rule": {"event": "a", "where": where}})
    (parsed,), problems = parse_definitions(text, "x.json")
    assert problems == []
    assert to_document(parsed.audience)["rule"] == {"event": "a", "where": where}
