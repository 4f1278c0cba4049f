from __future__ import annotations

import random

import pytest

from rules import model
from rules.canonical import audience_key, canonical, condition_key
from rules.parse import parse_definitions


def rule(text: str) -> model.Rule:
    (parsed,), problems = parse_definitions(f"id: x\nname: X\nrule: {text}", "x.yaml")
    assert problems == []
    return parsed.audience.rule


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{event: a, where: {x: 1, y: 2}}", "{event: a, where: {y: 2, x: 1}}"),
        ("{event: a, where: {x: 1, y: 2}}", "{event: a, where: {all: [{y: 2}, {x: {eq: 1}}]}}"),
        ("{event: a, where: {x: 1}}", "{event: a, where: {x: 1.0}}"),
        ("{event: a, where: {x: [1, b, 1.0]}}", "{event: a, where: {x: {in: [b, 1]}}}"),
        ("{event: a, where: {x: {any_of: [1, 2]}}}", "{event: a, where: {x: {any_of: [2, 1]}}}"),
        ("{event: a, where: {any: [{x: 1}, {y: 2}]}}", "{event: a, where: {any: [{y: 2}, {x: 1}, {x: 1}]}}"),
        ("{event: [a, b]}", "{event: [b, a, b]}"),
        ("{event: a}", "{event: a, count: {gte: 1}}"),
        ("{event: a, count: {gte: 1, lt: 5}}", "{event: a, count: {lt: 5, gte: 1}}"),
        ("{event: a, within: 7d}", "{event: a, within: 1w}"),
        ("{attribute: a, gt: 1, lt: 5}", "{attribute: a, lt: 5.0, gt: 1}"),
        ("{all: [{event: a}, {event: b}]}", "{all: [{event: b}, {event: a}]}"),
        (
            "{all: [{event: a}, {all: [{event: b}, {event: c}]}]}",
            "{all: [{event: c}, {event: a}, {event: b}]}",
        ),
        ("{any: [{event: a}]}", "{event: a}"),
    ],
)
def test_what_means_the_same_by_construction_has_equal_bytes(one: str, other: str) -> None:
    assert canonical(rule(one)) == canonical(rule(other))


def test_what_differs_has_different_bytes() -> None:
    texts = """
        {event: a}
        {event: b}
        {event: "*"}
        {event: [a, b]}
        {event: ab}
        {event: a, within: 1h}
        {event: a, within: 2h}
        {event: a, count: {gte: 2}}
        {event: a, count: {gt: 2}}
        {event: a, count: {gte: 2, lt: 9}}
        {event: a, sum: {property: p, gte: 1}}
        {event: a, distinct: {property: p, gte: 1}}
        {event: a, sum: {property: q, gte: 1}}
        {event: a, sum: {property: p.q, gte: 1}}
        {event: a, count: {between: [1, 2]}}
        {event: a, count: {between: [1, 1]}}
        {event: a, where: {x: 1}}
        {event: a, where: {x: true}}
        {event: a, where: {x: "1"}}
        {event: a, where: {x: "true"}}
        {event: a, where: {x: null}}
        {event: a, where: {x: "null"}}
        {event: a, where: {x: 1.5}}
        {event: a, where: {y: 1}}
        {event: a, where: {x.y: 1}}
        {event: a, where: {x: [1]}}
        {event: a, where: {x: [1, true]}}
        {event: a, where: {x: [ab]}}
        {event: a, where: {x: [a, b]}}
        {event: a, where: {x: {not_in: [a, b]}}}
        {event: a, where: {x: {ne: 1}}}
        {event: a, where: {not: {x: 1}}}
        {event: a, where: {x: 1, y: 2}}
        {event: a, where: {any: [{x: 1}, {y: 2}]}}
        {event: a, where: {x: {between: [1, 2]}}}
        {event: a, where: {x: {between: [0, 2]}}}
        {event: a, where: {x: 9007199254740993}}
        {event: a, where: {x: 9007199254740992}}
        {attribute: a, eq: 1}
        {attribute: a, eq: true}
        {attribute: b, eq: 1}
        {not: {event: a}}
        {not: {not: {event: a}}}
        {all: [{event: a}, {event: b}]}
        {any: [{event: a}, {event: b}]}
    """
    rules = [rule(text) for text in texts.splitlines() if text.strip()]
    assert len({canonical(each) for each in rules}) == len(rules)


def test_order_never_matters_where_it_says_nothing() -> None:
    shuffle = random.Random(7).shuffle
    parts: list[model.Predicate] = [model.Test((name,), "in", (1, "a", True, None)) for name in "abcdef"]
    expected = canonical(model.AllTests(tuple(parts)))
    for _ in range(20):
        shuffle(parts)
        assert canonical(model.AllTests(tuple(parts))) == expected


def test_keys_are_pinned_because_stores_hold_them() -> None:
    condition = rule("{event: [b, a], where: {x: 1, y: [c, null]}, count: {gte: 3}, within: 7d}")
    assert isinstance(condition, model.EventCondition)
    assert canonical(condition) == (
        b"event(15:names(2:sa2:sb)81:all(28:test(10:path(2:sx)3:seq2:n1)42:test(10:path(2:sy)3:sin15"
        b":set(4:null2:sc)))49:aggregate(6:scount6:path()19:compare(4:sgte2:n3))21:within(10:n604800"
        b"000))"
    )
    assert condition_key("default", condition) == 4215288561
    assert condition_key("other", condition) == 1232218239
    assert audience_key("default", "buyers") == 3066288880
    assert audience_key("default", "") != audience_key("defaul", "t")
