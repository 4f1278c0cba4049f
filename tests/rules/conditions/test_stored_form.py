"""What each kind of condition stores of the same events: rows in stores have these forms, so they stay."""

from __future__ import annotations

from typing import Any

import pytest

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.decide.decide import apply_event, new_row
from rules.parse.definitions import load_definitions
from rules.state.event_times import instants

T = 1_700_000_000_000
EVENTS = [(0, "a", 1), (1, "b", 2), (5, "a", 3), (5, "c", 2), (9, "b", 1)]
"""Of each: ms after ``T``, name, property ``p``."""


def state_of(rule: str, kind: str = "realtime") -> Any:
    """The state of the rule's only condition, references as the ms after ``T`` that they name."""
    text = f"audiences: [{{id: x, name: X, type: {kind}, rule: {rule}}}]"
    (audience,) = load_definitions([("x.yaml", text)])
    rules = compile_rules([PublishedAudience(audience, 1)]).project("default")
    row = new_row(T)
    for number, (at_ms, name, p) in enumerate(EVENTS):
        now_ms = T + at_ms
        apply_event(rules, "u", row, name, None, now_ms, {"p": p}, now_ms, number > 0, [])
    (state,) = row.conditions.values()

    def shown(part: Any) -> Any:
        if isinstance(part, str):
            return [each - T for each in instants(row, part)]
        if isinstance(part, list):
            return [shown(each) for each in part]
        return part - T if isinstance(part, int) and part > T / 2 else part

    return shown(state)


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("{event: a, count: {gte: 5}}", [2]),
        ("{event: a, count: {gte: 2}, within: 1h}", [0, 5]),
        ("{event: b, sum: {property: p, gte: 9}}", [3.0]),
        ("{event: b, sum: {property: p, gte: 9}, within: 1h}", [[1, 9], [2.0, 1.0], [3.0]]),
        ("{event: a, distinct: {property: p, gte: 9}}", [1, 3]),
        ("{event: a, distinct: {property: p, gte: 9}, within: 1h}", [[0, 5], [1, 3]]),
        ("{event: a, max: {property: p, gte: 9}, within: 1h}", [[5], [[3]]]),
        ("{event: a, avg: {property: p, gte: 9}, within: 1h}", [[0, 5], [[1, 1.0], [1, 3.0]]]),
        ("{sequence: [{event: a}, {event: c}, {event: d}]}", [[], [0, 5], [1, 2]]),
        ("{sequence: [{event: a}, {event: b}]}", [[1]]),
        ("{event: a, not_followed_by: {event: d}, for: 1h}", [[0, 5], []]),
        ("{event: a, not_followed_by: {event: d}, for: 1h, still: true}", [[0, 5], []]),
    ],
)
def test_a_state_has_the_form_that_its_kind_says(rule: str, state: Any) -> None:
    assert state_of(rule) == state


def test_a_batch_audience_stores_the_state_of_its_condition_in_a_list() -> None:
    assert state_of("{event: a, count: {gte: 5}}", "batch") == [[2]]


def test_an_event_at_the_compute_instant_is_stored_apart() -> None:
    assert T % 3_600_000
    text = (
        "audiences: [{id: x, name: X, type: batch, schedule: 0 * * * *, rule: {event: a, count: {gte: 5}}}]"
    )
    (audience,) = load_definitions([("x.yaml", text)])
    rules = compile_rules([PublishedAudience(audience, 1)]).project("default")
    hour_ms = T - T % 3_600_000 + 3_600_000
    row = new_row(T)
    for known, now_ms in ((False, T), (True, hour_ms)):
        apply_event(rules, "u", row, "a", None, now_ms, {}, now_ms, known, [])
    assert list(row.conditions.values()) == [[[1], hour_ms, [2]]]
