"""Sequences, what isn't followed and conditions of batch audiences: the native core against Python's classes.

After each event both have the same bytes of the row, changed it or not alike, and say the same of the
instants around, of the next timer, and of what they let go of. The native core may look again more often.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.compile.spec import spec_of
from rules.decide.take import take as take_event
from rules.model import language
from rules.parse.definitions import load_published
from rules.state.condition import AnyCondition
from rules.state.condition import Event as Taken
from rules.state.row import Row
from tables.codec import decode_row, encode_row
from tests.rules.conditions.random_conditions import (
    T,
    drawn,
    event_condition_of,
    not_followed_of,
    sequence_of,
    step_log_of,
)
from tests.strategies.conditions import EVENTS, event_condition, not_followed, sequence
from tests.strategies.dice import Dice
from tests.strategies.domains import ZONES, Domain, some_domain
from tests.strategies.fuzzing import examples_of
from tests.strategies.histories import values

testing: Any = pytest.importorskip("turnstile_core").testing

EXAMPLES = examples_of(250)
SCHEDULES = [None, "daily", "daily", "weekly", "monthly", "once"]
CRONS = ["0 6 * * *", "30 2 * * *", "*/30 * * * *", "0 0 1 * *", "15 1 * * sun"]


@dataclass
class Event:
    now_ms: int
    event_ms: int
    name: str
    properties: dict[str, object]


def hold_against_python(audiences: list[language.Audience], events: list[Event], max_samples: int) -> None:
    created_ms = events[len(events) // 2].now_ms
    published = [PublishedAudience(each, 1, created_ms=created_ms) for each in audiences]
    rules = compile_rules(published, max_samples)
    conditions = rules.project("default").conditions
    try:
        native = testing.Conditions(spec_of(rules), "default")
    except ValueError as refused:
        assume("regular expression" not in str(refused))  # some are Python's alone
        raise
    row = Row(now_ms=events[0].now_ms, first=0, base_ms=events[0].now_ms)
    for event in events:
        for key, condition in conditions.items():
            dropped = condition.dropped_samples
            row = take(native, condition, row, event)
            assert native.take_dropped(key) == condition.dropped_samples - dropped
            look(native, condition, row, event)
        row.now_ms = event.now_ms


def take(native: Any, condition: AnyCondition, row: Row, event: Event) -> Row:
    if event.name not in condition.names and "*" not in condition.names:
        return row
    decided_ms = event.now_ms if row.now_ms == event.now_ms else event.now_ms - 1
    before = encode_row(row)
    taken = Taken(event.name, event.properties, event.event_ms, event.now_ms)
    effect = take_event(condition, row, taken, decided_ms)
    properties = msgspec.msgpack.encode(event.properties)
    args = event.event_ms, decided_ms, event.now_ms
    found = native.take(condition.key, before, event.name, properties, *args)
    assert (decode_row(found[0]), found[1]) == (decode_row(encode_row(row)), effect.is_changed)
    assert found[0] == encode_row(row)
    assert found[2] or not effect.is_felt
    if not effect.is_changed:
        assert found[0] == before
    return decode_row(encode_row(row))


def look(native: Any, condition: AnyCondition, row: Row, event: Event) -> None:
    key, bytes_, state = condition.key, encode_row(row), row.conditions.get(condition.key)
    assert native.has_timers(key) == condition.has_timers
    at_ms = event.now_ms
    for _ in range(4):
        for each in (at_ms - 1, at_ms, at_ms + 1, at_ms + 86_400_000):
            assert native.value(key, bytes_, each) == condition.value(row, state, each), each
        timer_ms = None if state is None else condition.next_timer(row, state, at_ms)
        assert native.next_timer(key, bytes_, at_ms) == timer_ms
        if timer_ms is None:
            return
        at_ms = timer_ms


def audience_of(rule: language.Rule, zone: str, schedule: str | None, number: int = 0) -> language.Audience:
    found = language.Audience(f"a{number}", "A", rule, timezone=zone)
    if schedule is None:
        return found
    return replace(found, type="batch", schedule=language.Schedule(schedule))  # type: ignore[arg-type]


MIDNIGHT = T - T % 86_400_000 + 86_400_000


def log_at(log: list[tuple[int, int, str, dict[str, Any]]], from_ms: int) -> list[Event]:
    found, now_ms = [], from_ms
    for step, late, name, properties in log:
        now_ms += step
        kept = {key: each for key, each in properties.items() if each != 2**63}
        found.append(Event(now_ms, now_ms - late, name, kept))
    return found


def pattern_of(dice: Random) -> language.Rule:
    return not_followed_of(dice) if dice.random() < 0.3 else sequence_of(dice)


def condition_of(dice: Random) -> language.Rule:
    return event_condition_of(dice) if dice.random() < 0.3 else pattern_of(dice)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    drawn(pattern_of),
    drawn(step_log_of),
    st.sampled_from([1000, 1000, 5, 2, 1]),
)
def test_conditions_of_a_few_ms_are_those_of_python(rule: Any, log: Any, max_samples: int) -> None:
    hold_against_python([audience_of(rule, "UTC", None)], log_at(log, T), max_samples)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    drawn(condition_of),
    drawn(step_log_of),
    st.sampled_from([1000, 1000, 5, 2]),
    st.integers(0, 15),
    st.sampled_from(SCHEDULES[1:]),
)
def test_conditions_of_batch_audiences_are_held_at_compute_instants(
    rule: Any, log: Any, max_samples: int, before_ms: int, schedule: str
) -> None:
    hold_against_python([audience_of(rule, "UTC", schedule)], log_at(log, MIDNIGHT - before_ms), max_samples)


def definition_of(dice: Dice, domain: Domain) -> dict[str, Any]:
    found: dict[str, Any] = {"id": "a", "name": "A", "timezone": dice.pick(ZONES)}
    kind = dice.pick(["sequence", "sequence", "not_followed", "event"])
    if kind == "event":
        found["rule"] = event_condition(dice, domain, ())
    else:
        found["rule"] = sequence(dice, domain) if kind == "sequence" else not_followed(dice, domain)
    schedules = [*SCHEDULES, *CRONS]
    schedule = dice.pick(schedules[1:] if kind == "event" else schedules)
    return found if schedule is None else found | {"type": "batch", "schedule": schedule}


def events_of(dice: Dice, domain: Domain) -> list[Event]:
    found, now_ms = [], domain.start_ms
    for _ in range(dice.whole(3, 20)):
        now_ms += max(dice.pick(domain.steps), 0)
        event_ms = now_ms + min(dice.pick(domain.late), 0)
        properties = values(dice, ["p", "q", "o", *(["o.n"] if dice.once_in(4) else [])], domain)
        found.append(Event(now_ms, event_ms, dice.pick([*EVENTS, *EVENTS, "unheard"]), properties))
    return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**48))
def test_the_whole_language_in_zones_around_changes_of_the_clock(seed: int) -> None:
    dice = Dice(Random(seed).randrange)
    domain = some_domain(dice)
    audience = load_published("a.yaml", json.dumps(definition_of(dice, domain)))
    hold_against_python([audience], events_of(dice, domain), dice.pick([1000, 1000, 4, 2]))
