"""Definitions as YAML for people: they parse back, and a difference shows what an author changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from rules.model import language
from rules.parse.definitions import parse_definitions
from rules.write.text import difference, to_yaml
from tests.audiences import audiences

CART = """\
id: cart
name: Cart
project: shop
timezone: UTC
rule:
  all:
    - event: add
      where:
        price: {gte: 50}
      count: {gte: 3}
      within: 30d
    - not: {event: buy, within: 1h}
    - attribute: country
      in: [DE, AT]
"""


def parsed(text: str) -> language.Audience:
    (found,), problems = parse_definitions(text, "x.yaml")
    assert problems == []
    return found.audience


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(audiences)
def test_an_audience_that_is_written_as_yaml_reads_back_equal(audience: language.Audience) -> None:
    assert repr(parsed(to_yaml(audience))) == repr(audience)
    assert difference(audience, parsed(to_yaml(audience))) == []


def test_yaml_is_as_an_author_would_write_it() -> None:
    assert to_yaml(parsed(CART)) == CART


@pytest.mark.parametrize(
    "text", ["yes", "1", "2026-01-01", "a: b", "#x", "", " x", "é\n\u0085\t", "\x1b[2J\u202e", "x" * 500]
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    audience = language.Audience("x", "X", parsed(CART).rule, description=text, labels=(text or "l",))
    assert parsed(to_yaml(audience)) == audience
    assert all(each.isprintable() for each in to_yaml(audience).splitlines())


def test_a_difference_has_the_changed_lines_and_those_around_them() -> None:
    changed = CART.replace("name: Cart", "name: Carts").replace("gte: 3", "gte: 4")
    assert difference(parsed(CART), parsed(changed)) == [
        "  id: cart",
        "- name: Cart",
        "+ name: Carts",
        "  project: shop",
        "  timezone: UTC",
        "  rule:",
        "  ...",
        "      - event: add",
        "        where:",
        "          price: {gte: 50}",
        "-       count: {gte: 3}",
        "+       count: {gte: 4}",
        "        within: 30d",
        "      - not: {event: buy, within: 1h}",
        "      - attribute: country",
    ]


def test_a_rule_that_means_the_same_has_no_difference() -> None:
    spelled = CART.replace("{event: buy, within: 1h}", '{"within": "1h", "event": ["buy"]}')
    assert difference(parsed(CART), parsed(spelled)) == []
