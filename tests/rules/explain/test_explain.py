"""Explanations: every node of the language has its sentence, its facts, its value and its next flip."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rules.compile.project_rules import ProjectRules
from rules.decide.decide import apply_event, apply_profile, fire, new_row
from rules.explain.as_json import explained_document
from rules.explain.explain import Explained, explain
from rules.explain.facts import EventFacts
from rules.explain.sentences import finding, requirement
from rules.model import language
from rules.state.profile_update import ProfileUpdate
from rules.state.row import Row
from rules.time.instants import format_instant
from tests.driver.driver import ruleset

T = 1_704_067_200_000
"""2024-01-01T00:00:00Z, a Monday."""
MINUTE, DAY = 60_000, 86_400_000


class User:
    """One user under one rule, and under ``others``: written definitions that the rule may ask about."""

    def __init__(self, rule: str, *others: str, zone: str = "UTC") -> None:
        head = f"{{id: it, name: It, timezone: {zone}, rule: {rule}}}"
        lines = "".join(f"\n  - {each}" for each in (head, *others))
        self.rules: ProjectRules = ruleset(f"audiences:{lines}").project("default")
        self.row, self.known = new_row(T), False

    def event(self, name: str, at_ms: int = 0, late_ms: int = 0, **properties: object) -> None:
        fire(self.rules, "ann", self.row, T + at_ms, [])
        time_ms = T + at_ms - late_ms
        apply_event(self.rules, "ann", self.row, name, None, time_ms, properties, T + at_ms, self.known, [])
        self.known = True

    def profile(self, at_ms: int = 0, **attributes: object) -> None:
        fire(self.rules, "ann", self.row, T + at_ms, [])
        update = ProfileUpdate(None, T + at_ms, attributes, {}, (), {})
        apply_profile(self.rules, "ann", self.row, update, T + at_ms, self.known, [])
        self.known = True

    def explain(self, at_ms: int) -> Explained:
        fire(self.rules, "ann", self.row, T + at_ms + 1, [])
        audience = self.rules.by_id("it")
        assert audience is not None
        return explain(self.rules, audience, self.row, T + at_ms)

    def document(self, at_ms: int) -> dict[str, Any]:
        document = explained_document(self.explain(at_ms))
        assert json.loads(msgspec.json.encode(document)) == document
        return document


SENTENCES = {
    '{event: buy, where: {"lines[].sku": hat, lines: {every: {qty: {gte: 2}, sku: {ne: bag}}}}}': (
        'There was at least one "buy" event where (some element of lines has: sku is "hat") and '
        '(every element of lines has: qty is at least 2 and sku is not "bag").'
    ),
    '{attribute: "tags[]", eq: vip}': 'Of the user\'s attributes: some element of tags has: it is "vip".',
    "{attribute: renews, between_next: [3d, 7d]}": "The user's renews lies between 3 days and 7 days ahead.",
    "{attribute: renews, in_next: 7d}": "The user's renews lies ahead, less than 7 days.",
    '{event: buy, sum: {property: "lines[].price", gte: 1}}': (
        'The sum of "lines[].price" over "buy" events is at least 1.'
    ),
    "{event: buy, first: {property: lines, none: {sku: hat}}}": (
        'Of the first "buy" event, no element of lines has: sku is "hat".'
    ),
    "{event: buy}": 'There was at least one "buy" event.',
    "{event: buy, count: {eq: 0}, within: 7d}": 'There was no "buy" event in the last 7 days.',
    '{event: "*", count: {gte: 3}, within: 1h}': "The number of events is at least 3 in the last 1 hour.",
    "{event: [view, buy], where: {price: {gte: 50, lt: 100}, sku: {in: [a, b]}}, within: 90m}": (
        'There was at least one "buy" or "view" event where price is at least 50 and price is less than 100 '
        'and sku is one of "a", "b" in the last 90 minutes.'
    ),
    "{event: buy, where: {any: [{a: 1}, {all: [{b: null}, {not: {c: {exists: true}}}]}]}}": (
        'There was at least one "buy" event where a is 1 or (b is null and not (c is there)).'
    ),
    "{event: buy, sum: {property: price, gte: 100.5}, between_ago: [30d, 7d]}": (
        'The sum of price over "buy" events between 30 days and 7 days ago is at least 100.5.'
    ),
    "{event: buy, avg: {property: price, between: [1, 2]}, period: yesterday}": (
        'The average price of "buy" events yesterday is between 1 and 2.'
    ),
    "{event: buy, min: {property: a.b, lt: 2}, period: this_week}": (
        'The least "a.b" of "buy" events this week is less than 2.'
    ),
    "{event: buy, max: {property: p, gt: 2}, from: 2024-01-01, to: 2024-02-01}": (
        'The greatest p of "buy" events from 2024-01-01T00:00:00.000Z until before 2024-02-01T00:00:00.000Z '
        "is more than 2."
    ),
    "{event: buy, distinct: {property: sku, ne: 3}, period: {last: 7, unit: day}}": (
        'The number of different sku of "buy" events in the last 7 calendar days is not exactly 3.'
    ),
    "{event: buy, days: {gte: 3, lte: 5}, to: 2024-01-01}": (
        'The number of different days with "buy" events before 2024-01-01T00:00:00.000Z is '
        "at least 3 and at most 5."
    ),
    "{event: buy, first: {property: plan, eq: pro}, from: 2024-01-01}": (
        'Of the first "buy" event from 2024-01-01T00:00:00.000Z on, plan is "pro".'
    ),
    "{event: buy, last: {property: day, newer_than: 2d}}": (
        'Of the last "buy" event, day lies less than 2 days back.'
    ),
    "{event: buy, since_last: {gte: 7d}}": 'The last "buy" event was at least 7 days ago.',
    "{event: buy, since_first: {between: [1d, 2d]}}": (
        'The first "buy" event was between 1 day and 2 days ago.'
    ),
    "{event: buy, within: {audience: vip}}": (
        'There was at least one "buy" event since the user entered audience "vip", being in it.'
    ),
    "{sequence: [{event: view, as: v}, {event: buy, within: 30m, where: {sku: {eq: {ref: v.sku}}}}], "
    "without: {event: refund}, total: 2d, within: 7d}": (
        'These came in order: (1) "view" event (called "v"); (2) "buy" event where sku is the sku of "v", '
        "at most 30 minutes later; from the first to the last in at most 2 days; between them no "
        '"refund" event; the last one in the last 7 days.'
    ),
    "{event: cart, not_followed_by: {event: buy}, for: 30m, within: 1d}": (
        'At least one "cart" event in the last 1 day was followed by no "buy" event within 30 minutes.'
    ),
    "{event: cart, not_followed_by: {event: buy}, for: 30m, still: true}": (
        'At least one "cart" event was followed by no "buy" event within 30 minutes, nor later.'
    ),
    "{attribute: address.city, ieq: Rome}": 'The user\'s address.city is "Rome", in any case.',
    "{attribute: born, anniversary: {within: 7d}}": (
        "The user's born has its anniversary today or in the next 7 days."
    ),
    "{attribute: plan, changed_within: 7d, ne: free}": (
        'The user\'s plan changed less than 7 days ago and plan is not "free".'
    ),
    '{attribute: since, gte: "2024-01-01"}': 'The user\'s since is not before "2024-01-01".',
    "{audience: vip}": 'The user is in audience "vip".',
    "{audience: vip, for: 7d}": 'The user has been in audience "vip" without a break for 7 days.',
    "{all: [{event: a}, {event: b}]}": "All of these 2 must hold.",
    "{any: [{event: a}, {event: b}]}": "At least 1 of these 2 must hold.",
    "{not: {event: a}}": "The part must be false.",
    "{at_least: 2, of: [{event: a}, {event: b}, {event: c}]}": "At least 2 of these 3 must hold.",
    "{score: [{when: {event: a}, points: 5}, {when: {event: b}, points: -1}], gte: 3}": (
        "The points of those that hold must add up to at least 3."
    ),
}


@pytest.mark.parametrize(("rule", "sentence"), SENTENCES.items(), ids=range(len(SENTENCES)))
def test_a_rule_reads_as_a_sentence(rule: str, sentence: str) -> None:
    assert User(rule, "{id: vip, name: V, rule: {event: vip}}").explain(0).text == sentence


def test_a_count_tells_the_events_that_it_rests_on_and_when_it_runs_out() -> None:
    user = User("{event: buy, count: {gte: 2}, within: 1h}")
    for minute in (0, 10, 20):
        user.event("buy", minute * MINUTE)
    assert user.document(30 * MINUTE) == {
        "kind": "event",
        "text": 'The number of "buy" events is at least 2 in the last 1 hour.',
        "value": True,
        "found": "At least 2 counted (no more are needed), the latest at 2024-01-01T00:20:00.000Z.",
        "flips_at": "2024-01-01T01:10:00.000Z",
        "rule": {"event": "buy", "count": {"gte": 2}, "within": "1h"},
        "facts": {
            "number": 2,
            "or_more": True,
            "events": ["2024-01-01T00:10:00.000Z", "2024-01-01T00:20:00.000Z"],
        },
    }
    later = user.explain(75 * MINUTE)
    assert (later.value, later.timer_ms) == (False, None)
    assert later.found == "1 counted, the latest at 2024-01-01T00:20:00.000Z."
    assert user.explain(90 * MINUTE).found == "None was counted."


FOUND: list[tuple[str, str]] = [
    ("{event: buy, sum: {property: p, gte: 4}}", "It is 6."),
    ("{event: buy, sum: {property: p, gte: 4}, within: 1h}",
     "It is 5, the latest with a number at 2024-01-01T01:10:00.000Z."),
    ("{event: buy, sum: {property: p, gte: 4}, between_ago: [1d, 1h]}",
     "It is 1, the latest with a number at 2024-01-01T00:00:00.000Z."),
    ("{event: buy, avg: {property: p, gte: 4}}", "It is 2."),
    ("{event: buy, avg: {property: q, gte: 4}}", "No event with a number there was counted."),
    ("{event: buy, max: {property: p, gte: 4}, period: today}", "It is 3."),
    ("{event: buy, distinct: {property: s, gte: 3}}", '2 counted: "x", true.'),
    ("{event: buy, distinct: {property: s, gte: 3}, within: 1h}",
     '2 counted: "x", true, the latest at 2024-01-01T01:10:00.000Z.'),
    ("{event: buy, days: {gte: 2}}", '1 counted: "2024-01-01".'),
    ("{event: buy, first: {property: p, eq: 1}}", "It came at 2024-01-01T00:00:00.000Z."),
    ("{event: buy, last: {property: p, eq: 1}, within: 7d}", "It came at 2024-01-01T01:10:00.000Z."),
    ("{event: buy, since_last: {gte: 1h}}", "It came at 2024-01-01T01:10:00.000Z."),
    ("{event: view, since_last: {gte: 1h}}", "None was counted."),
    ("{event: buy, count: {gte: 2}, period: yesterday}", "None was counted."),
    ("{event: buy, where: {day: {older_than: 1d}}, count: {gte: 2}}", "1 counted."),
    ("{event: buy, sum: {property: p, gte: 9}, within: {audience: vip}}",
     "It is 5, from the entry at 2024-01-01T00:30:00.000Z on."),
    ("{event: buy, within: {audience: none}}", 'The user is not in audience "none".'),
    ("{audience: vip}", "The user entered at 2024-01-01T00:30:00.000Z."),
    ("{audience: none}", "The user never was in it."),
    ("{audience: left}", "The user left at 2024-01-01T00:35:00.000Z."),
    ("{attribute: plan, eq: pro}", 'It is "free"; the attribute changed last at 2024-01-01T00:30:00.000Z.'),
    ("{attribute: other, eq: pro}", "It never was set."),
    ("{not: {event: buy}}", "It is true."),
    ("{all: [{event: buy}, {event: view}]}", "1 of them does."),
    ("{score: [{when: {event: buy}, points: 0.1}, {when: {event: vip}, points: 0.2}], gte: 0.3}",
     "They add up to 0.3."),
    ("{sequence: [{event: buy}, {event: vip}]}", "The last step was taken at 2024-01-01T00:30:00.000Z."),
    ("{sequence: [{event: vip}, {event: view}], within: 1d}",
     "No whole sequence yet; the latest events that may be a step of one: "
     "1 at 2024-01-01T00:30:00.000Z."),
    ("{sequence: [{event: a}, {event: view}]}", "No event of it was counted."),
    ("{event: vip, not_followed_by: {event: view}, for: 30m}", "1 such event found, the latest at "
     "2024-01-01T00:30:00.000Z."),
    ("{event: vip, not_followed_by: {event: view}, for: 2h}",
     "Nothing followed that of 2024-01-01T00:30:00.000Z so far."),
    ("{event: vip, not_followed_by: {event: buy}, for: 2h}", "None was counted."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "found"), FOUND)
def test_what_was_found_reads_as_a_sentence(rule: str, found: str) -> None:
    user = User(
        rule,
        "{id: vip, name: V, rule: {event: vip}}",
        "{id: none, name: N, rule: {event: never}}",
        "{id: left, name: L, rule: {event: vip, within: 5m}}",
    )
    user.event("buy", p=1, s="x", day="2023-06-01")
    user.profile(30 * MINUTE, plan="free")
    user.event("vip", 30 * MINUTE)
    user.event("buy", 60 * MINUTE, p=2, s="x")
    user.event("buy", 70 * MINUTE, p=3, s=True)
    explained = user.explain(75 * MINUTE)
    assert explained.found == found
    json.dumps(explained_document(explained))


def test_every_part_of_a_composite_is_explained_in_its_place() -> None:
    user = User(
        "{all: [{event: buy, within: 1h}, {not: {any: [{event: buy, within: 2h}, {attribute: a, eq: 1}]}}, "
        "{score: [{when: {event: buy, where: {p: 1}}, points: 2}, {when: {event: buy, where: {p: true}}, "
        "points: 3}], gte: 3}]}"
    )
    user.event("buy", p=1)
    document = user.document(MINUTE)
    assert [each["kind"] for each in document["parts"]] == ["event", "not", "score"]
    assert [each["value"] for each in document["parts"]] == [True, False, False]
    assert [each["flips_at"] for each in document["parts"]] == [
        format_instant(T + 60 * MINUTE),
        format_instant(T + 120 * MINUTE),
        None,
    ]
    # By the time at which one part comes true another has run out.
    assert (document["value"], document["flips_at"]) == (False, None)
    # 1 and true are equal in Python, and two conditions here.
    assert [(each["points"], each["value"]) for each in document["parts"][2]["parts"]] == [
        (2, True),
        (3, False),
    ]


def test_flips_follow_the_audiences_that_the_rule_asks_about() -> None:
    user = User(
        "{all: [{audience: b}, {not: {audience: c}}]}",
        "{id: b, name: B, rule: {event: buy, within: 1h}}",
        "{id: c, name: C, rule: {audience: d, for: 10m}}",
        "{id: d, name: D, rule: {event: buy, within: 2h}}",
    )
    user.event("buy")
    explained = user.explain(MINUTE)
    inside, outside = explained.parts
    assert (inside.value, inside.timer_ms) == (True, T + 60 * MINUTE)
    assert (outside.value, outside.timer_ms) == (True, T + 10 * MINUTE)
    assert (explained.value, explained.timer_ms) == (True, T + 10 * MINUTE)


def test_a_batch_audience_tells_when_it_was_computed_and_when_it_will_be() -> None:
    user = User("{event: buy, within: 2d}, type: batch", zone="Asia/Shanghai")
    user.event("buy")  # 08:00 there
    document = user.document(MINUTE)
    assert (document["kind"], document["value"]) == ("batch", False)
    assert document["text"] == "This held when it was last computed: each midnight in Asia/Shanghai."
    assert document["facts"] == {
        "computed_at": "2023-12-31T16:00:00.000Z",
        "next_at": "2024-01-01T16:00:00.000Z",
    }
    assert document["flips_at"] == "2024-01-01T16:00:00.000Z"
    (rule,) = document["parts"]
    assert (rule["kind"], rule["value"], rule["facts"]["number"]) == ("event", True, 1)
    later = user.explain(DAY)
    assert later.found == (
        "It was computed at 2024-01-01T16:00:00.000Z, next at 2024-01-02T16:00:00.000Z; "
        "what follows is as of now."
    )
    # Gone on the second day at 08:00, but noticed at the midnight after it.
    assert (later.value, later.timer_ms) == (True, T + 2 * DAY + 16 * 60 * MINUTE)
    assert later.parts[0].timer_ms == T + 2 * DAY


def test_names_and_values_cannot_command_a_terminal() -> None:
    user = User('{attribute: "a\\e[2J", contains: "\\x9b31m\\u202e"}')
    user.profile(0, **{"a\x1b[2J": ["\x9b31m\u202e"]})
    explained = user.explain(0)
    assert explained.value
    assert (explained.text + explained.found).isprintable()


def test_a_user_of_whom_nothing_is_known_is_explained_too() -> None:
    rules = ruleset("audiences: [{id: it, name: It, rule: {not: {event: buy}}}]").project("default")
    explained = explain(rules, rules.audiences[0], Row(now_ms=0), T)
    assert (explained.value, explained.parts[0].found) == (True, "None was counted.")


def test_where_nothing_was_counted_it_is_said_since_when_events_are() -> None:
    hour = language.Within(3_600_000)
    at_least_one = language.Aggregate("count", None, (language.Comparison("gte", 1),))
    ever = language.EventCondition(("a",), None, at_least_one, None)
    facts = EventFacts(0)
    told = f"None was counted since {format_instant(1_704_067_200_000)}, when this version was published."
    assert finding(ever, facts, (), 1_704_067_200_000) == told
    assert finding(ever, facts, ()) == "None was counted."
    total = language.Aggregate("sum", ("price",), (language.Comparison("gte", 1),))
    whole = finding(language.EventCondition(("a",), None, total, hour), EventFacts(0), (), 1_704_067_200_000)
    assert whole == f"It is 0 since {format_instant(1_704_067_200_000)}, when this version was published."


def test_a_negation_and_its_part_do_not_deny_each_other() -> None:
    rule = language.Not(language.InAudience("a"))
    assert (requirement(rule), finding(rule, None, [(False, 0)])) == (
        "The part must be false.",
        "It is false.",
    )
