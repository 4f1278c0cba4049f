"""How far back audiences look: each kind of condition, and what makes it longer."""

from __future__ import annotations

import time

import pytest

from rules.model.language import Audience
from rules.model.lookback import asked_ms, lookback_ms, replays_everything
from rules.parse.definitions import parse_definitions

HOUR = 3_600_000
DAY = 24 * HOUR
AT = 1_800_000_000_000


def project(*definitions: str) -> tuple[Audience, dict[str, Audience]]:
    """The last of the definitions, and all of them by id."""
    text = "\n---\n".join(
        f"id: {chr(97 + at)}\nname: {chr(97 + at)}\n" + (each if "rule:" in each else f"rule: {each}")
        for at, each in enumerate(definitions)
    )
    parsed, problems = parse_definitions(text, "x.yaml")
    assert problems == []
    return parsed[-1].audience, {each.audience.id: each.audience for each in parsed}


def looks(*definitions: str, at_ms: int | None = None, dedupe_ms: int = 0) -> int | None:
    audience, by_id = project(*definitions)
    return lookback_ms(audience, by_id, dedupe_ms, at_ms)


@pytest.mark.parametrize(
    ("rule", "expected_ms"),
    [
        ("{event: e, within: 7d}", 7 * DAY),
        ("{event: e, between_ago: [30d, 7d]}", 30 * DAY),
        ("{event: e}", None),
        ("{event: e, first: {property: p, eq: 1}}", None),
        ("{event: e, first: {property: p, eq: 1}, within: 2d}", 2 * DAY),
        ("{event: e, since_last: {gte: 7d}}", None),
        ("{event: e, since_first: {gte: 7d}}", None),
        ("{event: e, to: 2024-05-01}", None),
        ("{event: e, from: 2024-05-01}", None),
        ("{event: e, period: today}", 2 * DAY),
        ("{event: e, period: last_month}", 63 * DAY),
        ("{event: e, period: {last: 7, unit: day}}", 8 * DAY),
        ("{attribute: country, eq: US}", 0),
        ("{attribute: born, older_than: 30d}", 0),
        ("{attribute: plan, changed_within: 7d}", 0),
        ("{attribute: address.city, changed_within: 7d}", None),
        ("{event: e, not_followed_by: {event: f}, for: 1h, within: 1d}", DAY),
        ("{event: e, not_followed_by: {event: f}, for: 1h, still: true}", None),
        ("{sequence: [{event: e}, {event: f}], within: 7d}", None),
        ("{sequence: [{event: e}, {event: f, within: 1h}], within: 7d}", 7 * DAY + HOUR),
        ("{sequence: [{event: e}, {event: f}, {event: g, within: 1h}], within: 7d}", None),
        ("{sequence: [{event: e}, {event: f}], within: 7d, total: 2d}", 9 * DAY),
        ("{sequence: [{event: e}, {event: f, within: 1h}], within: 7d, total: 2d}", 7 * DAY + HOUR),
        ("{sequence: [{event: e}, {event: f}], total: 2d}", None),
        ("{any: [{event: e, within: 1d}, {not: {event: f, within: 3d}}]}", 3 * DAY),
        ("{at_least: 1, of: [{event: e, within: 1d}, {event: f}]}", None),
        ("{score: [{when: {event: e, within: 5d}, points: 1}], gte: 1}", 5 * DAY),
    ],
)
def test_a_condition_looks_as_far_as_what_counts_may_lie(rule: str, expected_ms: int | None) -> None:
    assert looks(rule) == expected_ms


def test_an_audience_looks_as_far_as_those_that_it_asks_about() -> None:
    week = "{event: e, within: 7d}"
    assert looks(week, "{audience: a}") == 7 * DAY
    assert looks(week, "{audience: a, for: 3d}") == 10 * DAY
    assert looks(week, "{audience: a, for: 3d}", "{audience: b, for: 1d}") == 11 * DAY
    assert looks("{attribute: x, eq: 1}", "{audience: a, for: 3d}") == 3 * DAY
    assert looks(week, "{event: f, within: {audience: a}}") is None
    assert looks("{event: e}", "{all: [{audience: a}, {event: f, within: 1d}]}") is None


def test_a_fixed_begin_stays_where_it_is() -> None:
    fixed = f"{{event: e, from: {AT - 5 * DAY}}}"
    assert looks(fixed, at_ms=AT) == 5 * DAY + 1  # the event at that very instant counts
    assert looks(fixed, at_ms=AT + DAY) == 6 * DAY + 1
    assert looks(fixed, "{audience: a, for: 3d}", at_ms=AT) == 5 * DAY + 1
    assert looks(f"{{any: [{fixed}, {{event: f, within: 9d}}]}}", at_ms=AT) == 9 * DAY
    of_last = f"{{sequence: [{{event: e}}, {{event: f}}], total: 2d, from: {AT - 5 * DAY}}}"
    assert looks(of_last, at_ms=AT) == 7 * DAY + 1


@pytest.mark.parametrize(
    ("schedule", "expected_ms"),
    [
        ("daily", 9 * DAY),
        ("weekly", 15 * DAY),
        ("monthly", 39 * DAY),
        ("once", 7 * DAY),
        ("*/5 * * * *", 10 * DAY),
        ("0 6 * * mon", 16 * DAY),
        ("0 6 * * mon-fri", 12 * DAY),
        ("0 0 29 2 *", 8 * 365 * DAY + 2 * DAY + 8 * DAY),
    ],
)
def test_a_batch_audience_looks_from_its_last_compute_instant(schedule: str, expected_ms: int) -> None:
    head = f"type: batch\nschedule: '{schedule}'\nrule: {{event: e, within: 7d}}"
    assert looks(head) == pytest.approx(expected_ms, abs=1 * DAY)
    assert (looks(head) or 0) >= expected_ms - DAY


def test_when_another_audience_was_computed_once_is_not_known() -> None:
    assert looks("type: batch\nschedule: once\nrule: {event: e, within: 7d}", "{audience: a}") is None


def test_repeats_are_known_as_such_from_the_first_record_on() -> None:
    assert looks("{event: e, within: 7d}", dedupe_ms=64 * HOUR) == 7 * DAY + 65 * HOUR
    assert looks("{attribute: x, eq: 1}", dedupe_ms=DAY) == 0
    assert looks("{event: e}", dedupe_ms=DAY) is None


def asked(*definitions: str) -> int | None:
    audience, by_id = project(*definitions)
    return asked_ms(audience, by_id, 0)


def test_the_author_may_ask_for_less() -> None:
    ever, week = "rule: {event: e}", "rule: {event: e, within: 7d}"
    assert asked(ever) is None
    assert asked(f"backfill: {{history: 30d}}\n{ever}") == 30 * DAY
    assert asked(f"backfill: {{history: none}}\n{ever}") == 0
    assert asked(f"backfill: {{history: 30d}}\n{week}") == 7 * DAY
    assert asked(f"backfill: {{history: 3d}}\n{week}") == 3 * DAY
    assert asked(f"backfill: {{history: 3d}}\n{ever}", "{audience: a, for: 2d}") == 5 * DAY
    assert asked(f"backfill: {{history: 3d}}\n{ever}", "{event: f}") is None


@pytest.mark.parametrize(
    ("definitions", "everything"),
    [
        (["{attribute: x, eq: 1}"], False),
        (["type: batch\nrule: {event: e}"], False),
        (["type: batch\nrule: {all: [{event: e}, {attribute: x, eq: 1}]}"], True),
        (["{attribute: x, eq: 1}", "{audience: a}"], False),
        (["{attribute: x, eq: 1}", "{audience: a, for: 1d}"], True),
        (["{attribute: x, eq: 1}", "{event: e, within: {audience: a}}"], True),
        (["{attribute: x, eq: 1}", "{audience: a}", "{audience: b, for: 1d}"], True),
        (["{attribute: x, eq: 1}", "type: batch\nrule: {audience: a}"], True),
        (["type: batch\nrule: {attribute: x, eq: 1}", "{audience: a}"], True),
        (["{event: e}", "{all: [{audience: a, for: 1d}, {attribute: x, eq: 1}]}"], False),
    ],
)
def test_past_values_of_attributes_need_everything(definitions: list[str], everything: bool) -> None:
    audience, by_id = project(*definitions)
    assert replays_everything([audience], by_id) is everything


def test_long_chains_and_many_ways_are_no_work() -> None:
    rules = ["{event: e, within: 7d}"]
    rules += [
        f"{{all: [{{audience: {chr(96 + at)}}}, {{not: {{audience: {chr(96 + at)}, for: 1h}}}}]}}"
        for at in range(1, 26)
    ]
    began = time.monotonic()
    assert looks(*rules) == 7 * DAY + 25 * HOUR
    audience, by_id = project(*rules)
    assert not replays_everything([audience], by_id)
    assert time.monotonic() - began < 5


def test_what_is_missing_or_in_a_circle_stops_nothing() -> None:
    audience, _ = project("{event: e, within: 7d}", "{audience: a}")
    assert lookback_ms(audience, {}, 0) == 0
    assert not replays_everything([audience], {})
    first = project("{event: e}", "{audience: a}")[1]["b"]
    circle = {
        "a": Audience("a", "A", project("{event: e}", "{event: e}", "{audience: b}")[0].rule),
        "b": first,
    }
    assert lookback_ms(circle["a"], circle, 0) is None
    assert not replays_everything([circle["a"]], circle)
