from __future__ import annotations

from rules.compile.audience import PublishedAudience
from rules.compile.project_rules import NO_RULES
from rules.compile.rule_set import compile_rules
from rules.conditions.attributes import attribute_roots
from rules.model import language
from rules.parse.definitions import load_definitions

DEFINITIONS = """
audiences:
  - {id: b, name: B, rule: {event: buy, within: 1h}}
  - {id: a, name: A, rule: {all: [{event: buy, within: 1h}, {not: {event: [view, buy]}}]}}
  - {id: c, name: C, rule: {any: [{attribute: address.city, eq: x}, {not: {event: "*"}}]}}
  - {id: b, name: B, project: shop, rule: {event: buy, within: 1h}}
"""


def published(version: int = 1) -> list[PublishedAudience]:
    return [PublishedAudience(each, version) for each in load_definitions([("t", DEFINITIONS)])]


def test_equal_conditions_of_a_project_are_one_condition_with_one_state() -> None:
    rules = compile_rules(published()).project("default")
    assert [each.id for each in rules.audiences] == ["a", "b", "c"]
    assert len(rules.conditions) == 3
    assert (0, 1) in [each.always for each in rules.readers.values()]


def test_projects_share_no_state() -> None:
    rules = compile_rules(published())
    assert not rules.project("default").conditions.keys() & rules.project("shop").conditions.keys()
    assert rules.project("nowhere") is NO_RULES


def test_an_event_finds_the_conditions_that_name_it_and_those_of_any_event() -> None:
    rules = compile_rules(published()).project("default")
    names = {name: [each.names for each in index.conditions] for name, index in rules.by_event.items()}
    assert sorted(names["buy"]) == [("*",), ("buy",), ("buy", "view")]
    assert sorted(names["view"]) == [("*",), ("buy", "view")]
    assert [each.names for each in rules.any_event.conditions] == [("*",)]


def test_an_attribute_finds_the_audiences_that_may_read_it() -> None:
    found = compile_rules(published()).project("default").by_attribute
    assert {name: readers.always for name, readers in found.items()} == {
        "address": (2,),
        "address.city": (2,),
    }


def test_audiences_that_hold_for_unknown_users_are_found() -> None:
    assert compile_rules(published()).project("default").initial == (2,)


def test_a_deleted_audience_is_gone_but_known_by_name() -> None:
    first, *rest = published()
    rules = compile_rules([PublishedAudience(first.audience, 2, deleted=True), *rest]).project("default")
    assert rules.by_id("b") is None
    assert [each.audience.id for each in rules.gone.values()] == ["b"]


def test_the_fingerprint_tells_versions_and_deletions_and_nothing_of_order() -> None:
    one = compile_rules(published()).fingerprint
    assert one == compile_rules(reversed(published())).fingerprint
    assert one != compile_rules(published(2)).fingerprint
    deleted = [PublishedAudience(each.audience, 1, deleted=True) for each in published()]
    assert one != compile_rules(deleted).fingerprint


def test_leaves_come_in_order_and_attributes_from_everywhere() -> None:
    a, b = (language.AttributeCondition(language.Test((name, "x"), "eq", 1)) for name in "ab")
    assert list(language.conditions(language.Any((language.Not(b), language.All((a, b)))))) == [b, a, b]
    predicate = language.AnyTest((language.NotTest(a.test), language.AllTests((b.test,))))
    assert attribute_roots(predicate) == {"a", "a.x", "b", "b.x"}
