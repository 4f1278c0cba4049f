"""Batch audiences (docs/semantics.md, section 8): decided at compute instants, and held in between.

At a compute instant c the rule sees the records applied up to c, but no event whose time is c itself. So a
condition of a batch audience keeps two states while the clock stands at c: one without such events, which
c is decided by, and one with them, which goes on from there. Between compute instants an audience's value is
the membership that the latest one left, so whoever decides must have decided that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rules.conditions.build import build_condition
from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.model.keys import schedule_scope
from rules.state.condition import AnyCondition, Event, is_same
from rules.state.row import Row, State
from rules.time.instants import FAR_MS
from rules.time.schedules import ComputeInstants

MAX_LOOKS: Final = 64
"""How many compute instants are looked at before the last of them is the answer, a lower bound."""


class HeldState(NamedTuple):
    """The state of a batch audience's condition while the clock stands at a compute instant, and otherwise.

    All three parts are stored where events have come whose time is that instant, otherwise only the first.
    """

    decided: State
    """The inner condition's, of all events but those: the compute instant is decided by it."""
    instant_ms: int | None = None
    with_instant: State | None = None
    """The inner condition's, of all events: it counts after the instant."""

    def seen(self, at_ms: int) -> State:
        """The inner state that counts at an instant."""
        if self.with_instant is None or self.instant_ms is None or at_ms <= self.instant_ms:
            return self.decided
        return self.with_instant

    def stored(self) -> list[Any]:
        """As the row has it; empty: nothing."""
        if self.instant_ms is not None:
            return [*self]
        return [self.decided] if self.decided else []


class BatchCondition:
    """A condition of a batch audience, around that of a realtime one. State: the parts of a ``HeldState``."""

    has_timers = True
    """An event that came at a compute instant counts right after it."""

    def __init__(self, key: int, inner: AnyCondition, schedule: ComputeInstants) -> None:
        self.inner = inner
        self.schedule = schedule
        self.key = key
        self.source = inner.source
        self.names = inner.names
        self.max_samples = inner.max_samples

    @property
    def dropped_samples(self) -> int:
        return self.inner.dropped_samples

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        """The truth at an instant: exact at compute instants from the latest event's clock on."""
        seen = HeldState(*state).seen(at_ms) if state else None
        return self.inner.value(row, seen or None, at_ms)

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        held = HeldState(*state)
        seen = held.seen(after_ms + 1)
        timer_ms = self.inner.next_timer(row, seen, after_ms) if seen and self.inner.has_timers else None
        if held.instant_ms is not None and after_ms <= held.instant_ms:
            joins_ms = held.instant_ms + 1
            return joins_ms if timer_ms is None else min(timer_ms, joins_ms)
        return timer_ms

    def plain(self, row: Row, state: list[Any]) -> State:
        return state

    def take(self, row: Row, state: list[Any] | None, event: Event) -> list[Any] | None:
        held = HeldState(*state) if state else HeldState([])
        if held.with_instant is not None and held.instant_ms is not None and held.instant_ms < event.now_ms:
            held = HeldState(held.with_instant)
        now_ms = event.now_ms
        decided, with_instant = held.decided, held.with_instant
        if event.time_ms == now_ms and self.schedule.latest(now_ms) == now_ms:
            before = decided if with_instant is None else with_instant
            after = self._take(row, before, event)
            return state if is_same(before, after) else HeldState(decided, now_ms, after).stored()
        took = HeldState(
            self._take(row, decided, event),
            held.instant_ms,
            None if with_instant is None else self._take(row, with_instant, event),
        )
        return state if is_same([*held], [*took]) else took.stored()

    def _take(self, row: Row, state: State, event: Event) -> State:
        """The inner condition's state after an event; empty: none."""
        return self.inner.take(row, state or None, event) or []


@dataclass(frozen=True, slots=True)
class BatchTruth:
    """A batch audience: ``rule`` at the latest compute instant, over conditions that are BatchConditions."""

    key: int
    """Of the audience, in ``Row.audiences``."""
    rule: CompiledRule
    schedule: ComputeInstants

    def truth(self, row: Row, at_ms: int) -> bool:
        """The value at an instant no earlier than the row's last step. Between compute instants it is the
        membership; at one, and after one that the row hasn't come to yet, it is the rule's."""
        computed_ms = self.schedule.latest(at_ms)
        if computed_ms is None:
            return False
        if computed_ms == at_ms or computed_ms > row.now_ms:
            return self.rule.truth(row, computed_ms)
        return row.is_in(self.key)

    def change(self, row: Row, after_ms: int) -> int:
        """The first compute instant after ``after_ms`` at which the value changes if nothing more happens,
        or an earlier one; ``FAR_MS``: never."""
        now = self.truth(row, after_ms)
        at_ms = after_ms
        for _ in range(MAX_LOOKS):
            computed_ms = self.schedule.next(at_ms)
            if computed_ms is None:
                return FAR_MS
            at_ms = computed_ms
            if self.rule.truth(row, at_ms) != now:
                return at_ms
            timer_ms = self.rule.change(row, at_ms)
            if timer_ms >= FAR_MS:
                return FAR_MS
            at_ms = max(at_ms, timer_ms - 1)
        return at_ms


def build_batch_condition(
    project: str,
    source: language.StateCondition,
    max_samples: int,
    audience: language.Audience,
    schedule: ComputeInstants,
    history: str = "",
) -> AnyCondition:
    """A condition of a batch audience. Those of audiences with one schedule and zone share their state."""
    scope = schedule_scope(audience)
    inner = build_condition(project, source, max_samples, audience.timezone, scope, history)
    if isinstance(source, language.EventCondition) and isinstance(source.window, language.SinceEntry):
        return inner  # it tells the events of the latest instant apart by itself
    return BatchCondition(inner.key, inner, schedule)
