from __future__ import annotations

import pytest

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model import language
from rules.model.canonical import canonical
from rules.model.keys import audience_key, condition_key, history_scope, key_bytes, schedule_scope
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
