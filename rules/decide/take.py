"""What an event does to the state of one condition, and whether the audiences that ask must look again."""

from __future__ import annotations

from typing import NamedTuple

from rules.state.condition import AnyCondition, Event, is_same
from rules.state.row import Row, State
from rules.time.instants import FAR_MS


class Effect(NamedTuple):
    """Of an event, on one condition of a row."""

    is_changed: bool
    """The state is another, so the row must be kept."""
    is_felt: bool
    """The truth is another, or may now change sooner by time."""


NO_EFFECT = Effect(False, False)


def take(condition: AnyCondition, row: Row, event: Event, decided_ms: int) -> Effect:
    """Have a condition of the row take an event; timers are decided up to ``decided_ms``."""
    states, key = row.conditions, condition.key
    before: State | None = states.get(key)
    after = condition.take(row, before, event) or None
    if is_same(before, after):
        return NO_EFFECT
    was, now = condition.value(row, before, decided_ms), condition.value(row, after, event.now_ms)
    is_felt = was != now or _is_sooner(condition, row, before, decided_ms, after, event.now_ms)
    if after is None:
        del states[key]
    else:
        states[key] = after
    return Effect(True, is_felt)


def _is_sooner(
    condition: AnyCondition, row: Row, before: State | None, decided_ms: int, after: State | None, now_ms: int
) -> bool:
    """Whether the truth may change by time sooner than it might have, and than any audience might."""
    timer_ms = _next_timer(condition, row, after, now_ms)
    if row.timer_ms is not None and timer_ms >= row.timer_ms:
        return False
    return timer_ms < _next_timer(condition, row, before, decided_ms)


def _next_timer(condition: AnyCondition, row: Row, state: State | None, after_ms: int) -> int:
    timer_ms = None if state is None else condition.next_timer(row, state, after_ms)
    return FAR_MS if timer_ms is None else timer_ms
