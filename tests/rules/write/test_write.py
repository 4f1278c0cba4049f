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
