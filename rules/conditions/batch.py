"""Batch audiences (docs/semantics.md, section 8): decided at compute instants, and held in between.

At a compute instant c the rule sees the records applied up to c, but no event whose time is c itself. So a
condition of a batch audience keeps two states while the clock stands at c: one without such events, which
c is decided by, and one with them, which goes on from there. Between compute instants an audience's value is
the membership that the latest one left, so whoever decides must have decided that.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from rules.conditions.build import build_condition
from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.model.canonical import schedule_scope
from rules.state.condition import AnyCondition, Properties, Update
from rules.state.row import Row, State
from rules.time.instants import FAR_MS
from rules.time.schedules import ComputeInstants

MAX_LOOKS: Final = 64
"""How many compute instants are looked at before the last of them is the answer, a lower bound."""

_Event: TypeAlias = tuple[Properties, int, int, int]
"""What an ``Update`` gets of an event: (properties, event_ms, decided_ms, now_ms)."""


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
        return deepcopy(state)

    def updater_for(self, name: str) -> Update:
        key, latest = self.key, self.schedule.latest
        take = self._taker(name)

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            stored: list[Any] | None = row.conditions.get(key)
            held = HeldState(*stored) if stored else HeldState([])
            if held.instant_ms is not None and held.with_instant is not None and held.instant_ms < now_ms:
                held = HeldState(held.with_instant)
            event = properties, event_ms, decided_ms, now_ms
            if event_ms == now_ms and latest(now_ms) == now_ms:
                before = deepcopy(held.decided) if held.with_instant is None else held.with_instant
                after, changed = take(before, event)
                held = HeldState(held.decided, now_ms, after)
            else:
                decided, changed = take(held.decided, event)
                held = HeldState(decided, held.instant_ms, held.with_instant)
                if held.with_instant is not None:
                    after, also = take(held.with_instant, event)
                    held = HeldState(decided, held.instant_ms, after)
                    changed = changed or also
            if not changed:
                return False
            kept = held.stored()
            if kept:
                row.conditions[key] = kept
            else:
                row.conditions.pop(key, None)
            touched.append(key)
            return True

        return update

    def _taker(self, name: str) -> Callable[[State, _Event], tuple[State, bool]]:
        """How the inner condition takes an event into one of the states, and whether that changed it."""
        inner_key, inner = self.inner.key, self.inner.updater_for(name)
        scratch = Row(now_ms=0, conditions={})
        ignored: list[int] = []

        def take(state: State, event: _Event) -> tuple[State, bool]:
            ignored.clear()
            scratch.conditions = {inner_key: state} if state else {}
            changed = inner(scratch, *event, ignored)
            return scratch.conditions.get(inner_key, []), changed

        return take


@dataclass(frozen=True, slots=True)
class BatchTruth:
    """A batch audience: ``rule`` at the latest compute instant, over conditions that are BatchConditions."""

    key: int
    """Of the audience, in ``Row.audiences``."""
    rule: CompiledRule
    schedule: ComputeInstants

    def compiled(self) -> CompiledRule:
        return CompiledRule(self.truth, self.change)

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
) -> AnyCondition:
    """A condition of a batch audience. Those of audiences with one schedule and zone share their state."""
    inner = build_condition(project, source, max_samples, audience.timezone, schedule_scope(audience))
    if isinstance(source, language.EventCondition) and isinstance(source.window, language.SinceEntry):
        return inner  # it tells the events of the latest instant apart by itself
    return BatchCondition(inner.key, inner, schedule)
