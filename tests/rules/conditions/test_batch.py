"""Batch audiences, against an evaluation of what was known at each compute instant (section 8)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions.batch import BatchTruth, build_batch_condition
from rules.conditions.build import build_condition, compile_row_condition
from rules.conditions.truth import CompiledRule, StateRule, compile_rule
from rules.decide.take import take
from rules.model import language
from rules.state.condition import AnyCondition
from rules.state.condition import Event as TakenEvent
from rules.state.row import Membership, Row
from rules.time.instants import FAR_MS
from rules.time.schedules import ComputeInstants, Once
from tables.codec import decode_row, encode_row
from tests.rules.conditions.naive import Event, evaluate
from tests.rules.conditions.random_conditions import (
    T,
    drawn,
    event_condition_of,
    not_followed_of,
    sequence_of,
    step_log_of,
)

KEY = 77
AUDIENCE = language.Audience("a", "A", language.Any(()), type="batch", schedule=language.Schedule("daily"))
AHEAD_MS = 40


@dataclass
class Every:
    """Compute instants every so many ms."""

    length_ms: int

    def latest(self, at_ms: int) -> int | None:
        return at_ms // self.length_ms * self.length_ms

    def next(self, after_ms: int) -> int | None:
        return (after_ms // self.length_ms + 1) * self.length_ms


@dataclass
class AppliedEvents:
    """What the naive evaluation rests on: every event with the clock at which it was applied."""

    first_ms: int
    events: list[tuple[int, Event]] = field(default_factory=list)
    attributes: list[tuple[int, str]] = field(default_factory=list)

    def truth(self, rule: Any, schedule: ComputeInstants, at_ms: int) -> bool:
        computed_ms = schedule.latest(at_ms)
        if computed_ms is None or computed_ms < self.first_ms:
            return False
        return self._rule(rule, computed_ms)

    def _rule(self, rule: Any, at_ms: int) -> bool:
        if isinstance(rule, language.Not):
            return not self._rule(rule.part, at_ms)
        if isinstance(rule, language.All):
            return all(self._rule(part, at_ms) for part in rule.parts)
        if isinstance(rule, language.AttributeCondition):
            values = [value for applied_ms, value in self.attributes if applied_ms <= at_ms]
            return bool(values) and values[-1] == "yes"
        events = [event for applied_ms, event in self.events if applied_ms <= at_ms and event.ms < at_ms]
        return evaluate(rule, events, at_ms)


class DecidedUser:
    """One user and one batch audience, decided as ``rules.decide.decide`` does: at due instants, and at
    records that touch it. So a change that wasn't foreseen shows."""

    def __init__(self, rule: Any, schedule: ComputeInstants, now_ms: int) -> None:
        self.conditions: dict[int, AnyCondition] = {}
        self.schedule = schedule
        self.truth = BatchTruth(KEY, compile_rule(rule, self._leaf), schedule)
        self.row = Row(now_ms=now_ms, conditions={}, audiences={}, attributes={}, changed_ms={})
        self.timer_ms = FAR_MS
        self.transitions: list[int] = []

    def _leaf(self, source: Any) -> CompiledRule:
        if isinstance(source, language.AttributeCondition):
            return compile_row_condition("default", source)
        built = build_batch_condition("default", source, 1000, AUDIENCE, self.schedule)
        return StateRule(self.conditions.setdefault(built.key, built))

    @property
    def inside(self) -> bool:
        return len(self.transitions) % 2 == 1

    def decide(self, at_ms: int) -> None:
        self.row.now_ms = at_ms
        self.timer_ms = min(self.timer_ms, self.truth.change(self.row, at_ms))
        if self.truth.truth(self.row, at_ms) != self.inside:
            self.transitions.append(at_ms)
            self.row.audiences[KEY] = Membership(len(self.transitions), at_ms, 1)

    def fire(self, before_ms: int) -> None:
        while self.timer_ms < before_ms:
            at_ms, self.timer_ms = self.timer_ms, FAR_MS
            self.decide(at_ms)

    def record(self, now_ms: int, event: Event | None, value: str, first: bool) -> None:
        self.fire(now_ms)
        touched = first or event is None
        if self.timer_ms <= now_ms:
            touched, self.timer_ms = True, FAR_MS
        if event is None:
            self.row.attributes["vip"] = value
        else:
            taken = TakenEvent(event.name, event.properties, event.ms, now_ms)
            decided_ms = now_ms if self.row.now_ms == now_ms else now_ms - 1
            for built in self.conditions.values():
                if event.name in built.names or "*" in built.names:
                    touched = take(built, self.row, taken, decided_ms).is_changed or touched
        self.row = decode_row(encode_row(self.row))
        self.row.now_ms = now_ms
        if touched:
            self.decide(now_ms)


vip = language.AttributeCondition(language.Test(("vip",), "eq", "yes"))


def rule_of(dice: Random) -> Any:
    shape = dice.choice(["leaf", "leaf", "not", "all"])
    if shape == "not":
        return language.Not(rule_of(dice))
    if shape == "all":
        return language.All((rule_of(dice), rule_of(dice)))
    return dice.choice(
        [event_condition_of, event_condition_of, sequence_of, not_followed_of, lambda dice: vip]
    )(dice)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    drawn(rule_of),
    drawn(step_log_of),
    st.integers(1, 9),
    st.lists(st.sampled_from(["", "", "", "yes", "no"]), min_size=14, max_size=14),
)
def test_batch_audiences(rule: Any, log: list[Any], length_ms: int, updates: list[str]) -> None:
    schedule = Every(length_ms)
    first_ms = T + log[0][0]
    known, driver, now_ms = AppliedEvents(first_ms), DecidedUser(rule, schedule, first_ms), T
    for number, ((step, late, name, properties), update) in enumerate(zip(log, updates, strict=False)):
        now_ms += step
        event = None if update else Event(number, now_ms - late, name, properties)
        if event is None:
            known.attributes.append((now_ms, update))
        before = known.truth(rule, schedule, now_ms - 1) if number else False
        driver.fire(now_ms)
        if step:
            assert driver.inside == before
        if event is not None:
            known.events.append((now_ms, event))
        driver.record(now_ms, event, update, number == 0)
        told = [driver.truth.truth(driver.row, at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)]
        assert told == [known.truth(rule, schedule, at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)]
        assert driver.inside == told[0]
    for at_ms in range(now_ms + 1, now_ms + AHEAD_MS):
        driver.fire(at_ms + 1)
        assert driver.inside == known.truth(rule, schedule, at_ms)


def test_conditions_share_state_where_schedule_and_zone_are_the_same() -> None:
    source = language.EventCondition(("x",), None, language.Aggregate("count", None, ()), None)
    daily, weekly, once = (language.Schedule(kind) for kind in ("daily", "weekly", "once"))  # type: ignore[arg-type]

    def key(schedule: language.Schedule, zone: str = "UTC", name: str = "a", at_ms: int = 1) -> int:
        audience = replace(AUDIENCE, id=name, schedule=schedule, timezone=zone)
        return build_batch_condition("default", source, 1000, audience, Once(at_ms)).key

    assert key(daily) == key(daily, name="b")
    assert key(once, at_ms=1) == key(once, at_ms=2), "published again, it keeps what it has seen"
    keys = {
        key(weekly),
        key(daily, "Asia/Tokyo"),
        key(once),
        key(once, name="b"),
        key(daily),
        build_condition("default", source).key,
    }
    assert len(keys) == 6


def test_an_event_at_the_compute_instant_counts_only_from_the_next_one_on() -> None:
    rule = language.EventCondition(
        ("x",), None, language.Aggregate("count", None, (language.Comparison("gte", 1),)), None
    )
    driver = DecidedUser(rule, Every(10), 95)
    driver.record(95, None, "no", True)
    driver.record(100, Event(0, 100, "x", {}), "", False)
    driver.fire(110)
    assert driver.transitions == []
    driver.fire(111)
    assert driver.transitions == [110]


def test_a_late_event_applied_at_the_compute_instant_counts_there() -> None:
    rule = language.EventCondition(
        ("x",), None, language.Aggregate("count", None, (language.Comparison("gte", 1),)), None
    )
    driver = DecidedUser(rule, Every(10), 95)
    driver.record(95, None, "no", True)
    driver.record(100, Event(0, 100, "x", {}), "", False)
    driver.record(100, Event(1, 99, "x", {}), "", False)
    assert driver.transitions == [100]


def test_a_late_event_at_the_compute_instant_counts_from_the_next_one_on_as_well() -> None:
    twice = language.Aggregate("count", None, (language.Comparison("gte", 2),))
    driver = DecidedUser(language.EventCondition(("x",), None, twice, None), Every(10), 95)
    driver.record(95, None, "no", True)
    driver.record(100, Event(0, 100, "x", {}), "", False)
    driver.record(100, Event(1, 99, "x", {}), "", False)
    driver.fire(111)
    assert driver.transitions == [110]


def test_two_states_are_kept_only_while_the_clock_stands_at_a_compute_instant() -> None:
    rule = language.EventCondition(
        ("x",), None, language.Aggregate("count", None, (language.Comparison("gte", 9),)), None
    )
    driver = DecidedUser(rule, Every(10), 100)
    sizes = []
    for number, now_ms in enumerate((100, 100, 101, 110)):
        driver.record(now_ms, Event(number, now_ms, "x", {}), "", number == 0)
        sizes.append([len(state) for state in driver.row.conditions.values()])
    assert sizes == [[3], [3], [1], [3]]
