"""What each node of the language means: the model that its text is read into."""

from __future__ import annotations

import pytest

from rules.model import language
from rules.parse.aggregate import AT_LEAST_ONE
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import parse_definitions
from rules.time.durations import UNITS_MS
from rules.time.instants import parse_instant

A, B = (language.EventCondition((name,), None, AT_LEAST_ONE, None) for name in "ab")
HOUR, DAY = UNITS_MS["h"], UNITS_MS["d"]


def parse(text: str) -> ParsedAudience:
    (parsed,), problems = parse_definitions(f"id: x\nname: X\n{text}", "x.yaml")
    assert problems == []
    return parsed


def rule(text: str, head: str = "") -> language.Rule:
    return parse(f"{head}\nrule: {text}").audience.rule


def pattern(name: str, where: language.Predicate | None = None) -> language.EventPattern:
    return language.EventPattern((name,), where)


def test_at_least_and_score() -> None:
    assert rule("{at_least: 1, of: [{event: a}, {event: b}]}") == language.AtLeast(1, (A, B))
    scored = "{score: [{when: {event: a}, points: 2.5}, {when: {event: b}, points: -1}], gte: 1, lt: 9}"
    comparisons = (language.Comparison("gte", 1), language.Comparison("lt", 9))
    assert rule(scored) == language.Score(((A, 2.5), (B, -1)), comparisons)


def test_audiences_in_audiences() -> None:
    assert rule("{audience: vip}") == language.InAudience("vip")
    assert rule("{audience: vip, for: 7d}") == language.InAudience("vip", 7 * DAY)
    since = rule("{event: a, within: {audience: vip}}")
    assert isinstance(since, language.EventCondition)
    assert since.window == language.SinceEntry("vip")


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("between_ago: [30d, 7d]", language.BetweenAgo(30 * DAY, 7 * DAY)),
        ("from: 2024-01-01T00:00:00.001Z", language.FromTo(1704067200001, None)),
        ("to: 2024-01-01T01:00:00+01:00", language.FromTo(None, 1704067200000)),
        ("from: 1704067200, to: 1704067200001", language.FromTo(1704067200000, 1704067200001)),
        ("period: today", language.Period("day", 1, 0)),
        ("period: yesterday", language.Period("day", 1, 1)),
        ("period: this_week", language.Period("week", 1, 0)),
        ("period: last_week", language.Period("week", 1, 1)),
        ("period: this_month", language.Period("month", 1, 0)),
        ("period: last_month", language.Period("month", 1, 1)),
        ("period: this_year", language.Period("year", 1, 0)),
        ("period: {last: 7, unit: day}", language.Period("day", 7, 0)),
        ("period: {last: 36, unit: hour}", language.Period("hour", 36, 0)),
    ],
)
def test_windows(text: str, window: language.Window) -> None:
    read = rule(f"{{event: a, {text}}}")
    assert isinstance(read, language.EventCondition)
    assert read.window == window


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("UTC", "2024-03-31T00:00:00Z"),
        ("Asia/Shanghai", "2024-03-30T16:00:00Z"),
        ("America/New_York", "2024-03-31T04:00:00Z"),
        ("Asia/Beirut", "2024-03-30T22:00:00Z"),  # whose clocks went forward at this very midnight
    ],
)
def test_a_date_in_from_and_to_is_the_start_of_that_day_where_the_audience_lives(
    zone: str, start: str
) -> None:
    read = rule("{event: a, from: 2024-03-31}", f"timezone: {zone}")
    assert isinstance(read, language.EventCondition)
    assert read.window == language.FromTo(parse_instant(start), None)


@pytest.mark.parametrize(
    ("text", "aggregate"),
    [
        ("avg: {property: a.b, lt: 1.5}", ("avg", ("a", "b"), (language.Comparison("lt", 1.5),))),
        ("min: {property: x, ne: 1}", ("min", ("x",), (language.Comparison("ne", 1),))),
        ("max: {property: x, between: [1, 2]}", ("max", ("x",), (language.Comparison("between", (1, 2)),))),
        ("days: {gte: 3}", ("days", None, (language.Comparison("gte", 3),))),
        ("since_last: {gte: 7d}", ("since_last", None, (language.Comparison("gte", 7 * DAY),))),
        (
            "since_first: {between: [1h, 1d]}",
            ("since_first", None, (language.Comparison("between", (HOUR, DAY)),)),
        ),
        ("first: {property: x, eq: pro}", ("first", ("x",), (), language.Test(("x",), "eq", "pro"))),
        (
            "last: {property: x.y, ne: null, older_than: 1d}",
            (
                "last",
                ("x", "y"),
                (),
                language.AllTests(
                    (language.Test(("x", "y"), "ne", None), language.Test(("x", "y"), "older_than", DAY))
                ),
            ),
        ),
    ],
)
def test_aggregates(text: str, aggregate: tuple[object, ...]) -> None:
    read = rule(f"{{event: a, {text}}}")
    assert isinstance(read, language.EventCondition)
    assert read.aggregate == language.Aggregate(*aggregate)  # type: ignore[arg-type]


def test_a_sequence() -> None:
    text = """
      sequence:
        - {event: view, as: v}
        - {event: cart, within: 30m}
        - event: buy
          within: 1d
          as: b
          where: {sku: {eq: {ref: v.sku}}, any: [{n: {gt: {ref: v.a.b}}}, {x: 1}]}
      without: {event: refund, where: {x: 1}}
      total: 2d
      period: this_week"""
    same = language.Test(("sku",), "eq", language.Ref("v", ("sku",)))
    more = language.Test(("n",), "gt", language.Ref("v", ("a", "b")))
    one = language.Test(("x",), "eq", 1)
    assert rule(text) == language.Sequence(
        (
            language.SequenceStep(pattern("view"), None, "v"),
            language.SequenceStep(pattern("cart"), HOUR // 2),
            language.SequenceStep(
                pattern("buy", language.AllTests((same, language.AnyTest((more, one))))), DAY, "b"
            ),
        ),
        pattern("refund", one),
        2 * DAY,
        language.Period("week", 1, 0),
    )
    assert rule("{sequence: [{event: a}, {event: [c, b]}], within: 1d}") == language.Sequence(
        (language.SequenceStep(pattern("a")), language.SequenceStep(language.EventPattern(("b", "c"), None))),
        window=language.Within(DAY),
    )


def test_an_event_followed_by_nothing() -> None:
    follower = "{event: b, where: {y: {ne: {ref: a.z}}}}"
    text = f"{{event: a, where: {{x: 1}}, not_followed_by: {follower}, for: 1h, within: 1d}}"
    assert rule(text) == language.NotFollowed(
        pattern("a", language.Test(("x",), "eq", 1)),
        pattern("b", language.Test(("y",), "ne", language.Ref("a", ("z",)))),
        HOUR,
        language.Within(DAY),
    )


def test_operators_on_dates_and_changes() -> None:
    assert rule(
        "{attribute: born, anniversary: {within: 7d}, changed_within: 1h}"
    ) == language.AttributeCondition(
        language.AllTests(
            (
                language.Test(("born",), "anniversary", 7 * DAY),
                language.Test(("born",), "changed_within", HOUR),
            )
        )
    )
    read = rule("{event: a, where: {due: {newer_than: 1w}}}")
    assert isinstance(read, language.EventCondition)
    assert read.where == language.Test(("due",), "newer_than", 7 * DAY)


@pytest.mark.parametrize(
    ("head", "schedule"),
    [
        ("type: batch", language.Schedule("daily")),
        ("{type: batch, schedule: once}", language.Schedule("once")),
        ("{type: batch, schedule: weekly}", language.Schedule("weekly")),
        ("{type: batch, schedule: monthly}", language.Schedule("monthly")),
        ("{type: batch, schedule: '0  6 * * mon-fri '}", language.Schedule("cron", "0 6 * * mon-fri")),
        ("type: instant", None),
    ],
)
def test_schedules(head: str, schedule: language.Schedule | None) -> None:
    entries = head.strip("{}").replace(", ", "\n")
    assert parse(f"{entries}\nrule: {{event: a}}").audience.schedule == schedule


@pytest.mark.parametrize(
    ("written", "backfill"),
    [
        ("{}", language.Backfill("announce", None)),
        ("{existing: silent}", language.Backfill("silent", None)),
        ("{history: none}", language.Backfill("announce", 0)),
        ("{existing: announce, history: all}", language.Backfill()),
        ("{existing: silent, history: 30d}", language.Backfill("silent", 30 * DAY)),
    ],
)
def test_backfill(written: str, backfill: language.Backfill) -> None:
    assert parse(f"backfill: {written}\nrule: {{event: a}}").audience.backfill == backfill
