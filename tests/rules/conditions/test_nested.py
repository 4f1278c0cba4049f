"""Conditions that look at memberships: being in an audience, and events since the latest entry."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions.build import build_condition, compile_row_condition
from rules.conditions.truth import StateRule
from rules.decide.take import take
from rules.model import language
from rules.model.keys import audience_key
from rules.state.condition import Event as TakenEvent
from rules.state.row import Membership, Row
from rules.time.instants import FAR_MS
from tables.codec import decode_row, encode_row
from tests.rules.conditions.naive import Event, aggregate, in_order, matches
from tests.rules.conditions.random_conditions import KINDS, T, aggregate_of, drawn, log_of
from tests.strategies.fuzzing import usual

OTHER = audience_key("default", "other")
AHEAD_MS = 30


def row_in(seq: int, since_ms: int) -> Row:
    return Row(now_ms=since_ms, audiences={OTHER: Membership(seq, since_ms, 1)})


def test_being_in_an_audience_is_read_off_the_membership() -> None:
    node = compile_row_condition("default", language.InAudience("other"))
    assert [node.truth(row, T) for row in (Row(now_ms=T), row_in(1, T), row_in(2, T))] == [False, True, False]
    assert node.change(row_in(1, T), T) == FAR_MS


def test_being_in_for_so_long_begins_exactly_then_and_without_a_break() -> None:
    node, row = compile_row_condition("default", language.InAudience("other", 10)), row_in(3, T)
    assert [node.truth(row, at_ms) for at_ms in (T, T + 9, T + 10)] == [False, False, True]
    assert [node.change(row, at_ms) for at_ms in (T, T + 9, T + 10)] == [T + 10, T + 10, FAR_MS]
    assert node.change(row_in(4, T), T) == node.change(Row(now_ms=T), T) == FAR_MS
    assert not node.truth(row_in(4, T), T + 100)


toggles = st.lists(st.sampled_from([0, 0, 1, 1, 2]), min_size=14, max_size=14)
only_toggles = st.lists(st.booleans(), min_size=14, max_size=14)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=usual(40), deadline=None)
@given(data=st.data())
def test_events_since_the_latest_entry(kind: str, batch: bool, data: st.DataObject) -> None:
    """Of batch audiences only those before the instant count."""
    where = data.draw(st.sampled_from([None, language.NotTest(language.Test(("p",), "older_than", 3))]))
    source = language.EventCondition(
        ("x",), where, data.draw(drawn(lambda dice: aggregate_of(dice, kind))), language.SinceEntry("other")
    )
    built = build_condition("default", source, schedule="UTC daily" if batch else "")
    node = StateRule(built)
    row, events, now_ms, timer_ms = Row(now_ms=T, conditions={}, audiences={}), [], T, FAR_MS
    stays: list[int] = []

    def truth(at_ms: int) -> bool:
        seen = [each for each in events if each.ms < at_ms or not batch]
        counting = [each for each in seen if len(stays) % 2 and each.ms >= stays[-1]]
        found = [each for each in counting if matches(source.names, source.where, each)]
        return aggregate(source.aggregate, in_order(found), at_ms, ZoneInfo("UTC"))

    moves = zip(data.draw(drawn(log_of)), data.draw(toggles), data.draw(only_toggles), strict=False)
    for (step, late, name, found), times, without_event in moves:
        now_ms += step
        before = truth(now_ms)
        if name == "x" and not without_event:
            events.append(Event(len(events), now_ms - late, name, found))
            effect = take(built, row, TakenEvent("x", found, now_ms - late, now_ms), now_ms)
            if not (effect.is_changed if batch else effect.is_felt):
                assert truth(now_ms) == before
                assert timer_ms <= change_of(truth, now_ms)
        for _ in range(times):  # what the decider does next: other audiences change, at this instant
            stays.append(now_ms)
            row.audiences[OTHER] = Membership(len(stays), now_ms, 1)
        row = decode_row(encode_row(row))
        for at_ms in range(now_ms, now_ms + AHEAD_MS):
            assert node.truth(row, at_ms) == truth(at_ms)
        timer_ms = change_of(truth, now_ms)
        assert node.change(row, now_ms) == timer_ms
        state: list[Any] = row.conditions.get(built.key, [[]])
        assert len(state[0]) <= 2


def change_of(truth: Any, after_ms: int) -> int:
    now = truth(after_ms)
    return next((at for at in range(after_ms + 1, after_ms + AHEAD_MS) if truth(at) != now), FAR_MS)


def test_a_long_stay_keeps_one_tally_however_many_events_come() -> None:
    aggregates = language.Aggregate("sum", ("p",), (language.Comparison("gte", 300),))
    built = build_condition(
        "default", language.EventCondition(("x",), None, aggregates, language.SinceEntry("other"))
    )
    row = row_in(1, T)
    row.conditions = {}
    for number in range(5000):
        take(built, row, TakenEvent("x", {"p": 0.1}, T + number, T + number), T + number)
    assert len(row.conditions[built.key][0]) == 2
    assert StateRule(built).truth(row, T + 5000)
