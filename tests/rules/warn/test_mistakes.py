"""Mistakes that authors make, what is said of them, and what is said of nothing that is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rules.parse.definitions import parse_definitions
from rules.parse.problems import DefinitionProblem
from rules.warn.find import warnings_of
from rules.warn.seen import LogNames

OTHERS = """
- {id: nobody, name: Nobody, rule: {event: a, count: {lt: 0}}}
- {id: trial, name: Trial, rule: {attribute: plan, eq: trial}}
"""


def warnings(rule: str, log: LogNames | None = None) -> list[DefinitionProblem]:
    text = f"audiences:\n- id: x\n  name: X\n  rule: {rule}{OTHERS}"
    parsed, problems = parse_definitions(text, "x.yaml")
    assert problems == [], "\n".join(map(str, problems))
    return [each for each in warnings_of(parsed, log=log) if each.audience == "x"]


MISTAKES = [
    # what can never be true
    ("{event: a, where: {price: {gte: 5, lt: 3}}}", "never_entered", 4, 27),
    ("{event: a, where: {price: {gt: 5, eq: 5}}}", "never_entered", 4, 27),
    ("{event: a, where: {price: {gt: 5, in: [1, 2, 5]}}}", "never_entered", 4, 27),
    ("{event: a, where: {sku: {eq: a, ne: a}}}", "never_entered", 4, 27),
    ("{event: a, where: {sku: {exists: false, eq: a}}}", "never_entered", 4, 27),
    ("{event: a, where: {sku: {starts_with: ab, eq: cd}}}", "never_entered", 4, 27),
    ("{event: a, where: {sku: {starts_with: a, ends_with: b, not_contains: b}}}", "never_entered", 4, 27),
    ("{event: a, where: {price: {gt: 5, contains: x}}}", "never_entered", 4, 27),
    ("{event: a, where: {at: {gt: 2024-05-01T00:00:00Z, lt: 2024-01-01T00:00:00Z}}}", "never_entered", 4, 27),
    ("{event: a, where: {all: [{plan: free}, {plan: pro}]}}", "never_entered", 4, 33),
    ("{event: a, count: {lt: 0}}", "never_entered", 4, 9),
    ("{event: a, count: {gte: 5, lt: 3}, within: 7d}", "never_entered", 4, 9),
    ("{event: a, days: {gte: 3}, period: today}", "never_entered", 4, 9),
    ("{event: a, since_last: {gte: 7d}, within: 3d}", "never_entered", 4, 9),
    ("{event: a, last: {property: plan, eq: pro, ne: pro}}", "never_entered", 4, 9),
    ("{event: a, where: {plan: free}, last: {property: plan, eq: pro}}", "never_entered", 4, 9),
    ("{attribute: age, gte: 65, lt: 18}", "never_entered", 4, 9),
    ("{attribute: born, older_than: 30d, newer_than: 20d}", "never_entered", 4, 9),
    ("{attribute: tags, any_of: [a], eq: a}", "never_entered", 4, 9),
    ("{all: [{attribute: plan, eq: free}, {attribute: plan, eq: pro}]}", "never_entered", 4, 9),
    ("{all: [{event: a, within: 7d}, {not: {event: a, within: 7d}}]}", "never_entered", 4, 9),
    ("{all: [{event: a, count: {gte: 5}}, {event: a, count: {lt: 3}}]}", "never_entered", 4, 9),
    ("{at_least: 2, of: [{attribute: plan, eq: free}, {attribute: plan, eq: pro}]}", "never_entered", 4, 9),
    ("{audience: nobody}", "never_entered", 4, 9),
    ("{event: a, within: {audience: nobody}}", "never_entered", 4, 9),
    ("{sequence: [{event: a}, {event: b, where: {x: {gt: 5, lt: 5}}}]}", "never_entered", 4, 51),
    ("{any: [{event: a}, {event: b, where: {x: {gt: 5, lt: 5}}}]}", "never_true", 4, 46),
    # what is always true
    ("{event: a, count: {gte: 0}}", "never_left", 4, 9),
    ("{any: [{attribute: plan, eq: pro}, {attribute: plan, ne: pro}]}", "never_left", 4, 9),
    ("{not: {audience: nobody}}", "never_left", 4, 9),
    ("{all: [{event: b}, {event: a, count: {gte: 0}}]}", "always_true", 4, 28),
    # text that looks like something else
    ("{attribute: subscribed, eq: yes}", "suspicious_value", 4, 37),
    ("{event: a, where: {done: no}}", "suspicious_value", 4, 34),
    ("{event: a, where: {done: [on, off]}}", "suspicious_value", 4, 35),
    ("{event: a, where: {done: 'true'}}", "suspicious_value", 4, 34),
    ("{event: a, where: {price: '>50'}}", "suspicious_value", 4, 35),
    ("{event: a, where: {price: '10..50'}}", "suspicious_value", 4, 35),
    ("{event: a, where: {sku: 'shoe*'}}", "suspicious_value", 4, 33),
    ("{event: a, where: {sku: '^shoe'}}", "suspicious_value", 4, 33),
    ("{event: a, where: {sku: {matches: /shoe/}}}", "suspicious_value", 4, 43),
    ("{event: a, where: {sku: {contains: ''}}}", "suspicious_value", 4, 44),
    ("{attribute: country, eq: 'DE,AT'}", "suspicious_value", 4, 34),
    ("{attribute: country, eq: 'DE '}", "suspicious_value", 4, 34),
    ("{attribute: plan, eq: None}", "suspicious_value", 4, 31),
    # names that look like something else
    ("{event: 'view,buy'}", "suspicious_name", 4, 17),
    ("{event: 'view_*'}", "suspicious_name", 4, 17),
    ("{event: 'view '}", "suspicious_name", 4, 17),
    ("{event: a, where: {gte: 50}}", "suspicious_name", 4, 33),
    ("{event: a, where: {properties.price: 50}}", "suspicious_name", 4, 46),
    ("{event: a, where: {property: price, operator: gte, value: 50}}", "suspicious_name", 4, 38),
    ("{attribute: traits.plan, eq: pro}", "suspicious_name", 4, 9),
]


@pytest.mark.parametrize(("rule", "code", "line", "column"), MISTAKES, ids=lambda each: str(each)[:60])
def test_a_mistake_is_told_with_its_place(rule: str, code: str, line: int, column: int) -> None:
    found = warnings(rule)
    assert [(each.code, each.line, each.column) for each in found[:1]] == [(code, line, column)]


RIGHT = [
    "{event: a}",
    "{not: {event: a}}",
    "{event: a, count: {lt: 1}}",
    "{event: a, count: {eq: 0}, within: 7d}",
    "{event: a, where: {price: {gte: 5, lte: 5}}}",
    "{event: a, where: {tags: {contains: x, ne: x}}}",
    "{event: a, where: {sku: {starts_with: a, contains: b, ends_with: c, not_contains: d}}}",
    "{event: a, where: {any: [{x: 1}, {not: {x: 1}}]}}",
    "{event: a, where: {at: {gte: 2024-05-01, lte: 2024-05-01}}}",
    "{all: [{event: a, within: 7d}, {not: {event: a, within: 1d}}]}",
    "{all: [{event: a, where: {x: 1}}, {not: {event: a}}]}",
    "{all: [{audience: trial}, {not: {audience: trial, for: 7d}}]}",
    "{attribute: subscribed, eq: true}",
    "{attribute: answer, eq: 'yes'}",
    "{attribute: city, eq: 'Berlin, Germany'}",
    "{attribute: born, older_than: 20d, newer_than: 30d}",
    "{event: a, days: {gte: 2}, within: 1h}",
    "{event: a, since_last: {gte: 3d}, within: 7d}",
    "{attribute: size, eq: '42'}",
    "{attribute: stars, eq: '***'}",
]


@pytest.mark.parametrize("rule", RIGHT)
def test_nothing_is_said_of_what_may_be_meant_so(rule: str) -> None:
    assert [str(each) for each in warnings(rule)] == []


def test_the_audiences_of_the_demo_have_no_warnings() -> None:
    examples = sorted((Path(__file__).parents[3] / "app/demo/audiences").glob("*.yaml"))
    assert examples
    for path in examples:
        parsed, _ = parse_definitions(path.read_text(), path.name)
        assert [str(each) for each in warnings_of(parsed)] == []


def log() -> LogNames:
    names = LogNames()
    names.event("purchase", {"price": 5, "address": {"city": "Berlin"}, "lines": [{"sku": "a"}]})
    names.event("view", {"sku": "a"})
    names.attributes_of({"plan": "pro", "age": 5})
    return names


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{event: purchse}", "no event 'purchse' is in the log - did you mean 'purchase'?"),
        ("{event: [purchase, Purchase]}", "no event 'Purchase' is in the log"),
        ("{sequence: [{event: view}, {event: buy}]}", "no event 'buy' is in the log"),
        ("{event: purchase, where: {prize: 5}}", "no property 'prize' of 'purchase' events is in the log"),
        ("{event: view, where: {price: 5}}", "no property 'price' of 'view' events"),
        ("{event: '*', where: {skv: a}}", "no property 'skv' of these events"),
        ("{event: purchase, where: {address.town: a}}", "'address.town' of 'purchase'"),
        ("{event: purchase, sum: {property: amount, gte: 5}}", "no property 'amount'"),
        ("{attribute: plam, eq: pro}", "no attribute 'plam' is in the log - did you mean 'plan'?"),
        ("{event: purchase, where: {price: '5'}}", "is always number, and this asks for text"),
        ("{attribute: plan, gte: 5}", "is always text, and this asks for number"),
    ],
)
def test_names_that_a_log_does_not_have_are_told_with_the_nearest(rule: str, told: str) -> None:
    found = [str(each).replace(" (at ", " - (at ", 1) for each in warnings(rule, log())]
    assert len(found) == 1
    shown = [f"{each.message} - {each.hint}" for each in warnings(rule, log())]
    assert told in shown[0]


@pytest.mark.parametrize(
    "rule",
    [
        "{event: [purchase, view], where: {price: {gte: 5}, sku: a}}",
        "{event: purchase, where: {address.city: Berlin}}",
        "{event: purchase, where: {price: {exists: false}}}",
        "{attribute: age, gte: 5}",
    ],
)
def test_nothing_is_said_of_names_that_a_log_has(rule: str) -> None:
    assert warnings(rule, log()) == []


def test_an_audience_without_places_is_warned_of_too() -> None:
    from agents.registry.audiences_together import as_parsed
    from rules.compile.audience import PublishedAudience

    parsed, _ = parse_definitions(
        json.dumps({"id": "x", "name": "X", "rule": {"event": "a", "count": {"lt": 0}}}), "x"
    )
    found = warnings_of([as_parsed(PublishedAudience(parsed[0].audience, 1), "published")])
    assert [(each.code, each.file) for each in found] == [("never_entered", "published")]
