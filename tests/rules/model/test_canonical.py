from __future__ import annotations

import random

import pytest

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model import language
from rules.model.canonical import (
    audience_key,
    canonical,
    condition_key,
    history_scope,
    key_bytes,
    schedule_scope,
)
from rules.parse.definitions import load_published, parse_definitions

PINNED = [
    ("{event: a, between_ago: [2h, 1h]}", 1156106175),
    ("{event: a, from: 2024-01-01T00:00:00Z}", 2105907959),
    ("{event: a, period: {last: 7, unit: day}}", 1102119873),
    ("{event: a, within: {audience: b}}", 3446465853),
    ("{event: a, avg: {property: p, gte: 1}}", 3322342149),
    ("{event: a, days: {gte: 2}}", 1640672395),
    ("{event: a, last: {property: p, eq: x}}", 3371022684),
    ("{event: a, since_last: {gte: 1d}}", 3376984844),
    ("{attribute: a, changed_within: 1d}", 1624103075),
    ("{attribute: a, anniversary: {within: 1d}}", 3750957641),
    ("{audience: b, for: 1d}", 446683787),
    (
        "{sequence: [{event: a, as: v}, {event: b, within: 1h, where: {x: {eq: {ref: v.x}}}}], "
        "without: {event: c}, total: 2h}",
        865877867,
    ),
    ("{event: a, not_followed_by: {event: b, where: {x: {eq: {ref: a.x}}}}, for: 1h, within: 1d}", 614989706),
]


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


def test_keys_are_pinned_because_stores_hold_them() -> None:
    condition = rule("{event: [b, a], where: {x: 1, y: [c, null]}, count: {gte: 3}, within: 7d}")
    assert isinstance(condition, language.EventCondition)
    assert canonical(condition) == (
        b"event(15:names(2:sa2:sb)81:all(28:test(10:path(2:sx)3:seq2:n1)42:test(10:path(2:sy)3:sin15"
        b":set(4:null2:sc)))49:aggregate(6:scount6:path()19:compare(4:sgte2:n3))21:within(10:n604800"
        b"000))"
    )
    assert condition_key("default", condition) == 4215288561
    assert condition_key("other", condition) == 1232218239
    assert audience_key("default", "buyers") == 3066288880
    assert audience_key("default", "") != audience_key("defaul", "t")


@pytest.mark.parametrize(("text", "key"), PINNED, ids=lambda value: str(value)[:40])
def test_keys_of_every_kind_of_condition_are_pinned(text: str, key: int) -> None:
    condition = rule(text)
    assert isinstance(condition, language.Condition)
    assert condition_key("default", condition, "Asia/Shanghai") == key


ZONED = """
    {event: a, period: today}
    {event: a, days: {gte: 2}}
    {event: a, days: {gte: 2}, within: 7d}
    {event: a, where: {not: {any: [{y: 1}, {x: {anniversary: {within: 1d}}}]}}}
    {event: a, last: {property: x, eq: 1, anniversary: {within: 1d}}}
    {attribute: x, anniversary: {within: 1d}}
    {sequence: [{event: a}, {event: b}], period: today}
    {sequence: [{event: a}, {event: b, where: {x: {anniversary: {within: 1d}}}}]}
    {sequence: [{event: a}, {event: b}], without: {event: c, where: {x: {anniversary: {within: 1d}}}}}
    {event: a, not_followed_by: {event: b}, for: 1h, period: today}
    {event: a, not_followed_by: {event: b, where: {x: {anniversary: {within: 1d}}}}, for: 1h}
"""
ZONED_BESIDE_UTC = """
    {event: a, where: {x: {older_than: 1d}}, within: 1d}
    {event: a, where: {not: {x: {newer_than: 1d}}}}
    {event: a, where: {x: {in_next: 1d}}}
    {event: a, last: {property: x, between_next: [1d, 2d]}}
    {event: a, where: {x: {gt: 2024-05-01}}}
    {event: a, where: {x: {lte: "2024-05-01T00:00:00Z"}}}
    {event: a, where: {x: {between: [2024-05-01, 2024-06-01]}}}
    {attribute: x, older_than: 1d, changed_within: 1d}
    {attribute: x, gte: 2024-05-01}
    {sequence: [{event: a, as: v}, {event: b, where: {x: {gt: {ref: v.x}}}}]}
    {event: a, not_followed_by: {event: b, where: {x: {lt: {ref: a.x}}}}, for: 1h}
"""
"""They read dates, which are midnights in the zone. That of UTC isn't in the key: rows have it so."""
ZONELESS = """
    {event: a}
    {event: a, where: {x: {gt: 5}}, within: 1d}
    {event: a, where: {x: {between: [1, 2]}, y: 2024-05-01}}
    {event: a, between_ago: [2d, 1d]}
    {event: a, since_last: {gte: 1d}}
    {event: a, from: 2024-01-01}
    {event: a, within: {audience: b}}
    {attribute: x, changed_within: 1d}
    {audience: b, for: 1d}
    {sequence: [{event: a}, {event: b}], within: 1d}
    {event: a, not_followed_by: {event: b}, for: 1h, within: 1d}
"""


def conditions(texts: str) -> list[language.Condition]:
    found = [rule(text) for text in texts.splitlines() if text.strip()]
    assert all(isinstance(each, language.Condition) for each in found)
    return found  # type: ignore[return-value]


def test_the_time_zone_is_in_the_key_where_it_decides_the_value() -> None:
    zones = ("UTC", "Asia/Shanghai", "Asia/Tokyo")
    for condition in conditions(ZONED):
        assert len({condition_key("default", condition, zone) for zone in zones}) == 3, condition
    for condition in conditions(ZONED_BESIDE_UTC):
        assert len({condition_key("default", condition, zone) for zone in zones}) == 3, condition
        assert key_bytes(condition, "UTC") == canonical(condition)
    for condition in conditions(ZONELESS):
        assert len({condition_key("default", condition, zone) for zone in zones}) == 1, condition


def test_a_batch_audience_shares_no_state_with_a_realtime_one() -> None:
    for condition in conditions(ZONED + ZONED_BESIDE_UTC + ZONELESS):
        assert condition_key("p", condition) != condition_key("p", condition, schedule="UTC daily")


def test_the_keys_that_are_checked_are_those_that_rows_have() -> None:
    """Else two conditions could come to share a state against all checks."""
    heads = ("", ", type: batch", ", type: batch, schedule: once", ", type: batch, schedule: 0 6 * * *")
    for head in heads:
        for zone in ("UTC", "Asia/Tokyo"):
            for text in (ZONED + ZONED_BESIDE_UTC + ZONELESS).splitlines():
                if not text.strip() or "attribute" in text or "audience" in text[:20]:
                    continue
                source = f"{{id: x, name: X, timezone: {zone}{head}, rule: {text}}}"
                (parsed,), problems = parse_definitions(source, "x.yaml")
                assert problems == []
                checked = condition_key(
                    "default", parsed.audience.rule, zone, schedule_scope(parsed.audience)
                )
                assert [
                    *compile_rules([PublishedAudience(parsed.audience, 1)]).project("default").conditions
                ] == [checked], source


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


def test_audiences_that_ask_for_less_history_share_their_conditions_with_none() -> None:
    texts = ["{id: a, name: A, rule: {event: e}}"]
    texts += [
        f"{{id: {each}, name: {each}, rule: {{event: e}}, backfill: {{history: {history}}}}}"
        for each, history in (("b", "none"), ("c", "none"), ("d", "7d"))
    ]
    scopes = [history_scope(load_published("a.yaml", text)) for text in texts]
    assert scopes == ["", "b", "c", "d"]
    rule = load_published("a.yaml", texts[0]).rule
    assert isinstance(rule, language.EventCondition)
    assert len({condition_key("default", rule, history=each) for each in scopes}) == 4
