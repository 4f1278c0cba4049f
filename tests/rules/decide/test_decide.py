"""What one record, or the passing of time, does to one user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.decide.decide import (
    apply_event,
    apply_profile,
    fire,
    new_row,
)
from rules.decide.redefine import redefine
from rules.state.profile_update import ProfileUpdate, change_attributes, same_value
from rules.state.row import Row, Transition
from tests.driver.driver import ruleset

T = 1_700_000_000_000
RULES = ruleset(
    """
audiences:
  - {id: b_recent, name: B, rule: {event: buy, within: 10ms}}
  - {id: a_quiet, name: A, rule: {not: {event: buy, within: 10ms}}}
  - {id: c_pair, name: C, rule: {event: buy, count: {gte: 2}, within: 5ms}}
"""
).project("default")


def story(out: list[Transition]) -> list[tuple[str, int, int, int | None]]:
    """(audience, seq, milliseconds after T, predicted exit after T)"""
    exits = [None if each.exit_at_ms is None else each.exit_at_ms - T for each in out]
    return [(each.audience, each.seq, each.at_ms - T, at) for each, at in zip(out, exits, strict=True)]


def buy(row: Row, at_ms: int, out: list[Transition], time_ms: int | None = None, known: bool = True) -> None:
    fire(RULES, "ann", row, at_ms, out)
    time_ms = at_ms if time_ms is None else time_ms
    apply_event(RULES, "ann", row, "buy", None, time_ms, {}, at_ms, known, out)


def test_transitions_of_one_step_come_in_order_of_audience_and_those_of_time_at_their_own_instant() -> None:
    row, out = new_row(T), list[Transition]()
    buy(row, T, out, known=False)
    buy(row, T + 3, out)
    fire(RULES, "ann", row, T + 100, out)
    assert story(out) == [
        ("b_recent", 1, 0, 10),
        ("c_pair", 1, 3, 5),
        ("c_pair", 2, 5, None),
        ("a_quiet", 1, 13, None),
        ("b_recent", 2, 13, None),
    ]
    assert [each.cause for each in out] == ["event", "event", "time", "time", "time"]


def test_an_event_in_the_future_happens_now() -> None:
    row, out = new_row(T), list[Transition]()
    buy(row, T, out, time_ms=T + 1000, known=False)
    assert story(out) == [("b_recent", 1, 0, 10)]
    assert out[0].trigger is not None
    assert out[0].trigger.time_ms == T + 1000


def test_a_late_event_counts_at_its_own_time_and_shows_now() -> None:
    row, out = new_row(T), list[Transition]()
    buy(row, T, out, time_ms=T - 9, known=False)
    fire(RULES, "ann", row, T + 2, out)
    assert story(out)[:1] == [("b_recent", 1, 0, 1)]
    assert story(out)[1:] == [("a_quiet", 1, 1, None), ("b_recent", 2, 1, None)]


def test_a_renewal_at_the_instant_of_the_flip_is_no_transition() -> None:
    row, out = new_row(T), list[Transition]()
    buy(row, T, out, known=False)
    buy(row, T + 10, out)
    assert story(out) == [("b_recent", 1, 0, 10)]


def test_definitions_that_change_nothing_bring_nothing() -> None:
    row, out = new_row(T), list[Transition]()
    buy(row, T, out, known=False)
    redefine(RULES, "ann", row, T + 1, "definition", out)
    assert len(out) == 1


def test_what_no_rule_watches_any_more_is_let_go_of() -> None:
    watching = ruleset("{id: moved, name: M, rule: {attribute: a.b, changed_within: 1d}}").project("default")
    row, out = new_row(T), list[Transition]()
    update = ProfileUpdate(None, T, {"a": {"b": 1}}, {}, (), {})
    apply_profile(watching, "ann", row, update, T, False, out)
    redefine(watching, "ann", row, T + 1, "definition", out)
    assert row.changed_paths == {"a.b": T}
    redefine(RULES, "ann", row, T + 1, "definition", out)
    assert row.changed_paths == {}


UPDATES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], set[str]]] = [
    ({"a": 1}, {"set": {"a": 1.0}}, {"a": 1}, set()),
    ({"a": 1}, {"set": {"a": True}}, {"a": True}, {"a"}),
    ({"a": None}, {"set_once": {"a": 1}}, {"a": None}, set()),
    ({}, {"set_once": {"a": 1}}, {"a": 1}, {"a"}),
    ({"a": 1}, {"unset": ["a", "b"]}, {}, {"a"}),
    ({"a": 1}, {"add": {"a": 2, "b": 0.5}}, {"a": 3, "b": 0.5}, {"a", "b"}),
    ({"a": "x", "b": True}, {"add": {"a": 2, "b": 2}}, {"a": 2, "b": 2}, {"a", "b"}),
    ({"a": 1}, {"add": {"a": 0}}, {"a": 1}, set()),
    ({"a": 2**63 - 1}, {"add": {"a": 1}}, {"a": float(2**63)}, {"a"}),
    ({"a": 1e308}, {"add": {"a": 1e308}}, {"a": 1e308}, set()),
    ({}, {"set": {"a": 1}, "add": {"a": 1}, "unset": ["b"]}, {"a": 2}, {"a"}),
    ({}, {"set": {"a": 1}, "unset": ["a"]}, {}, set()),
    ({"a": 1}, {"set": {"a": 2}, "add": {"a": -1}}, {"a": 1}, set()),
    ({"a": {"x": [1]}}, {"set": {"a": {"x": [1.0]}}}, {"a": {"x": [1]}}, set()),
]


@pytest.mark.parametrize(("before", "update", "after", "changed"), UPDATES)
def test_an_update_changes_attributes(
    before: dict[str, Any], update: dict[str, Any], after: dict[str, Any], changed: set[str]
) -> None:
    row = new_row(T)
    row.attributes = dict(before)
    whole = {"set": {}, "set_once": {}, "unset": (), "add": {}} | update
    assert set(change_attributes(row, ProfileUpdate(None, T, **whole), T + 5)) == changed
    assert row.attributes == after
    assert {name: type(value) for name, value in row.attributes.items()} == {
        name: type(value) for name, value in after.items()
    }
    assert row.changed_ms == dict.fromkeys(changed, T + 5)


def test_values_are_the_same_as_json() -> None:
    assert same_value([1, {"a": None}], [1.0, {"a": None}])
    assert not same_value([1], [True])
    assert not same_value({"a": 0}, {"a": False})
    assert not same_value([1], [1, 2])
    assert not same_value("1", 1)


def test_batch_audiences_are_looked_at_for_their_compute_instants_only() -> None:
    """However often others flip between them."""
    rules = ruleset(
        """
audiences:
  - {id: recent, name: R, rule: {event: buy, within: 10ms}}
  - {id: idle, name: I, type: batch, rule: {not: {event: buy, within: 1d}}}
"""
    ).project("default")
    looked: list[int] = []
    idle = rules.by_id("idle")
    assert idle is not None

    class Watched:
        truth = idle.decided.truth

        def change(self, row: Row, after_ms: int) -> int:
            looked.append(after_ms)
            assert idle is not None
            return idle.decided.change(row, after_ms)

    watched = tuple(replace(each, decided=Watched()) if each is idle else each for each in rules.audiences)
    rules = replace(rules, audiences=watched)
    row, out = new_row(T), list[Transition]()
    for number in range(50):
        now_ms = T + number * 1000
        fire(rules, "ann", row, now_ms, out)
        assert looked == []
        apply_event(rules, "ann", row, "buy", None, now_ms, {}, now_ms, number > 0, out)
        looked.clear()
    assert len(out) == 99
    midnight = -(-T // 86_400_000) * 86_400_000
    fire(rules, "ann", row, midnight + 3 * 86_400_000, out)
    assert [each.at_ms for each in out if each.audience == "idle"] == [midnight + 86_400_000]
