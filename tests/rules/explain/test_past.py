"""From when on conditions count whose history is short."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.explain.explain import Explained, explain, history_from_ms
from tests.rules.explain.test_explain import DAY, MINUTE, T, User

SHORT = T + 10 * DAY
"""History begins here."""


def explained(rule: str, at_ms: int, *others: str, from_ms: int = SHORT) -> Explained:
    user = User(rule, *others)
    user.event("e", 0)
    audience = user.rules.by_id("it")
    assert audience is not None
    short = {key: from_ms for key, _ in audience.leaves if key is not None}
    return explain(user.rules, audience, user.row, at_ms, short)


@pytest.mark.parametrize(
    ("rule", "whole_at_ms"),
    [
        ("{event: e, within: 7d}", SHORT + 7 * DAY - 1),
        ("{event: e, count: {gte: 2}, within: 7d}", SHORT + 7 * DAY - 1),
        ("{event: e, between_ago: [7d, 1d]}", SHORT + 7 * DAY - 1),
        ("{event: e, period: this_month}", T + 31 * DAY),
        ("{event: e, period: {last: 2, unit: day}}", SHORT + 1 * DAY),
        ("{event: e, period: yesterday}", SHORT + 1 * DAY),
        ("{sequence: [{event: e}, {event: f}], total: 2d, within: 7d}", SHORT + 9 * DAY - 1),
        ("{event: e, not_followed_by: {event: f}, for: 1h, within: 7d}", SHORT + 7 * DAY - 1),
    ],
)
def test_a_window_grows_out_of_a_short_history(rule: str, whole_at_ms: int) -> None:
    before, after = explained(rule, whole_at_ms - 1), explained(rule, whole_at_ms)
    assert (before.counts_from_ms, history_from_ms(before)) == (SHORT, SHORT)
    assert before.found.endswith(
        "Only events since 2024-01-11T00:00:00.000Z count, because its history begins there."
    )
    assert (after.counts_from_ms, history_from_ms(after)) == (None, None)
    assert "Only events" not in after.found


@pytest.mark.parametrize(
    "rule",
    [
        "{event: e}",
        "{event: e, since_last: {gte: 7d}}",
        "{event: e, from: 2024-01-05}",
        "{event: e, to: 2024-03-01}",
        "{sequence: [{event: e}, {event: f}], within: 7d}",
        "{event: e, not_followed_by: {event: f}, for: 1h}",
    ],
)
def test_others_never_do(rule: str) -> None:
    assert explained(rule, SHORT + 3_000 * DAY).counts_from_ms == SHORT


def test_a_window_that_begins_with_the_history_has_all_of_it() -> None:
    fixed = "{event: e, from: 2024-01-11T00:00:00Z}"
    assert explained(fixed, SHORT + DAY).counts_from_ms is None
    assert explained(fixed, SHORT + DAY, from_ms=SHORT + 1).counts_from_ms == SHORT + 1


def test_the_latest_of_the_conditions_is_that_of_the_tree() -> None:
    user = User("{all: [{event: e, within: 7d}, {not: {event: f}}, {attribute: x, eq: 1}]}")
    user.event("e", 0)
    audience = user.rules.by_id("it")
    assert audience is not None
    first, second = (key for key, _ in audience.leaves if key is not None)
    tree = explain(user.rules, audience, user.row, T + MINUTE, {first: T - 3, second: T - 5})
    kept, negated, attribute = tree.parts
    assert [kept.counts_from_ms, negated.parts[0].counts_from_ms] == [T - 3, T - 5]
    assert (tree.counts_from_ms, attribute.counts_from_ms) == (None, None)
    assert history_from_ms(tree) == T - 3
    assert history_from_ms(explain(user.rules, audience, user.row, T + MINUTE, {second: T - 5})) == T - 5
    assert history_from_ms(explain(user.rules, audience, user.row, T + MINUTE, {})) is None


def test_where_histories_are_known_the_publication_says_nothing() -> None:
    user = User("{event: e, within: 7d}")
    user.event("f", 0)
    audience = user.rules.by_id("it")
    assert audience is not None
    audience = replace(audience, published_ms=T - 1)
    unknown: Any = explain(user.rules, audience, user.row, T)
    known = explain(user.rules, audience, user.row, T, {})
    assert "when this version was published" in unknown.found
    assert known.found == "None was counted."
