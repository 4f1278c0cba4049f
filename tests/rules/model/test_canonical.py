from __future__ import annotations

import random

import pytest

from rules.model import language
from rules.model.canonical import canonical
from rules.parse.definitions import parse_definitions


def rule(text: str) -> language.Rule:
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
        ("{at_least: 1, of: [{event: a}, {event: b}]}", "{at_least: 1, of: [{event: b}, {event: a}]}"),
        (
            "{score: [{when: {event: a}, points: 1}, {when: {event: b}, points: 2}], gte: 1, lt: 3}",
            "{score: [{when: {event: b}, points: 2.0}, {when: {event: a}, points: 1}], lt: 3, gte: 1}",
        ),
        ("{audience: x, for: 7d}", "{audience: x, for: 1w}"),
        ("{event: a, period: today}", "{event: a, period: {last: 1, unit: day}}"),
        ("{event: a, from: 2024-01-01}", "{event: a, from: 2024-01-01T01:00:00+01:00}"),
        ("{event: a, last: {property: x, gt: 1, lt: 5}}", "{event: a, last: {property: x, lt: 5, gt: 1}}"),
        (
            "{sequence: [{event: a, as: v}, {event: b, where: {x: {eq: {ref: v.x}}}}]}",
            "{sequence: [{event: a, as: w}, {event: b, as: y, where: {x: {eq: {ref: w.x}}}}]}",
        ),
        (
            "{event: a, not_followed_by: {event: [b, c]}, for: 1h}",
            "{event: a, not_followed_by: {event: [c, b]}, for: 60m}",
        ),
        (
            "{event: a, not_followed_by: {event: b}, for: 1h}",
            "{event: a, not_followed_by: {event: b}, for: 1h, still: false}",
        ),
        ("{attribute: a, changed_within: 7d, eq: 1}", "{attribute: a, eq: 1, changed_within: 1w}"),
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
        {at_least: 1, of: [{event: a}, {event: b}]}
        {at_least: 2, of: [{event: a}, {event: b}]}
        {at_least: 2, of: [{event: a}, {event: a}, {event: b}]}
        {score: [{when: {event: a}, points: 1}, {when: {event: b}, points: 2}], gte: 1}
        {score: [{when: {event: a}, points: 2}, {when: {event: b}, points: 1}], gte: 1}
        {score: [{when: {event: a}, points: 2}, {when: {event: b}, points: 1}], gte: 2}
        {score: [{when: {event: a}, points: 1}, {when: {event: a}, points: 1}], gte: 2}
        {audience: a}
        {audience: b}
        {audience: a, for: 1d}
        {event: a, within: {audience: a}}
        {event: a, within: {audience: b}}
        {event: a, between_ago: [2h, 1h]}
        {event: a, between_ago: [3h, 1h]}
        {event: a, from: 2024-01-01}
        {event: a, to: 2024-01-01}
        {event: a, from: 2024-01-01, to: 2024-01-02}
        {event: a, period: today}
        {event: a, period: yesterday}
        {event: a, period: this_week}
        {event: a, period: {last: 2, unit: day}}
        {event: a, avg: {property: p, gte: 1}}
        {event: a, min: {property: p, gte: 1}}
        {event: a, max: {property: p, gte: 1}}
        {event: a, days: {gte: 2}}
        {event: a, first: {property: p, gte: 1}}
        {event: a, last: {property: p, gte: 1}}
        {event: a, last: {property: p, gte: 2}}
        {event: a, since_first: {gte: 1h}}
        {event: a, since_last: {gte: 1h}}
        {event: a, where: {x: {older_than: 1h}}}
        {event: a, where: {x: {newer_than: 1h}}}
        {event: a, where: {x: {anniversary: {within: 1h}}}}
        {attribute: a, changed_within: 1h}
        {attribute: a, older_than: 1h}
        {event: a, not_followed_by: {event: b}, for: 1h}
        {event: b, not_followed_by: {event: a}, for: 1h}
        {event: a, not_followed_by: {event: b}, for: 2h}
        {event: a, not_followed_by: {event: b}, for: 1h, still: true}
        {event: a, not_followed_by: {event: b}, for: 1h, within: 1d}
        {event: a, not_followed_by: {event: b}, for: 1h, within: 1d, still: true}
        {event: a, not_followed_by: {event: b, where: {x: {eq: {ref: a.x}}}}, for: 1h}
        {event: a, not_followed_by: {event: b, where: {x: {eq: {ref: a.y}}}}, for: 1h}
        {event: a, not_followed_by: {event: b, where: {x: {eq: a.x}}}, for: 1h}
        {sequence: [{event: a}, {event: b}]}
        {sequence: [{event: b}, {event: a}]}
        {sequence: [{event: a}, {event: b, within: 1h}]}
        {sequence: [{event: a}, {event: b}], total: 1h}
        {sequence: [{event: a}, {event: b}], within: 1h}
        {sequence: [{event: a}, {event: b}], without: {event: c}}
        {sequence: [{event: a}, {event: b}, {event: c}]}
        {sequence: [{event: a, as: p}, {event: b, as: q}, {event: c, where: {x: {eq: {ref: p.x}}}}]}
        {sequence: [{event: a, as: p}, {event: b, as: q}, {event: c, where: {x: {eq: {ref: q.x}}}}]}
    """
    rules = [rule(text) for text in texts.splitlines() if text.strip()]
    assert len({canonical(each) for each in rules}) == len(rules)


def test_order_never_matters_where_it_says_nothing() -> None:
    shuffle = random.Random(7).shuffle
    parts: list[language.Predicate] = [
        language.Test((name,), "in", (1, "a", True, None)) for name in "abcdef"
    ]
    expected = canonical(language.AllTests(tuple(parts)))
    for _ in range(20):
        shuffle(parts)
        assert canonical(language.AllTests(tuple(parts))) == expected


def test_names_in_lists_and_some_are_one_condition() -> None:
    def key(where: str) -> bytes:
        (parsed,), _ = parse_definitions(f"id: x\nname: X\nrule: {{event: e, where: {where}}}", "x")
        return canonical(parsed.audience.rule)

    assert key('{"lines[].sku": hat}') == key("{lines: {some: {sku: hat}}}")
    assert key('{"a[].b[]": {gt: 1, lt: 3}}') == key('{a: {some: {"b[]": {lt: 3, gt: 1}}}}')
    assert key("{lines: {none: {sku: hat}}}") == key('{not: {"lines[].sku": hat}}')
    different = [
        '{"lines[].sku": hat}',
        "{lines.sku: hat}",
        "{lines: {every: {sku: hat}}}",
        '{"lines[]": hat}',
    ]
    assert len({key(each) for each in different}) == len(different)
