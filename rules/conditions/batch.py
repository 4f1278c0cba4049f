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
from typing import Final

from rules.conditions.build import StateCondition, build_condition
from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.model.canonical import schedule_scope
from rules.state.condition import Condition, Properties, State, Update
from rules.state.row import Row
from rules.time.instants import FAR_MS
from rules.time.schedules import ComputeInstants

MAX_LOOKS: Final = 64
"""How many compute instants are looked at before the last of them is the answer, a lower bound."""


class BatchCondition(Condition):
    """A condition of a batch audience. State: [the inner one's], or while the clock stands at a compute
    instant that is an event's time [the inner one's without such events, the instant, the one with them]."""

    def __init__(self, key: int, inner: Condition, schedule: ComputeInstants) -> None:
        self.inner = inner
        self.schedule = schedule
        self.key = key
        self.source = inner.source
        self.names = inner.names
        self.where = None
        self.max_samples = inner.max_samples

    @property
    def dropped_samples(self) -> int:  # type: ignore[override]
        return self.inner.dropped_samples

    @property
    def has_timers(self) -> bool:
        return True  # an event that came at a compute instant counts right after it

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        """The truth at an instant: exact at compute instants from the latest event's clock on."""
        return self.inner.value(row, state_seen(state, at_ms) or None, at_ms)

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        seen = state_seen(state, after_ms + 1)
        timer_ms = self.inner.next_timer(row, seen, after_ms) if seen and self.inner.has_timers else None
        if len(state) > 1 and after_ms <= state[1]:
            return state[1] + 1 if timer_ms is None else min(timer_ms, state[1] + 1)  # type: ignore[no-any-return]
        return timer_ms

    def updater(self) -> Update:
        return self._updater(self.inner.updater())

    def updater_for(self, name: str) -> Update:
        """How events of a name are taken, where the inner condition has several patterns."""
        return self._updater(self.inner.updater_for(name))

    def _updater(self, inner: Update) -> Update:
        key, inner_key, latest = self.key, self.inner.key, self.schedule.latest
        scratch = Row(now_ms=0, conditions={})
        ignored: list[int] = []

        def take(state: State, update: Callable[[Row], bool]) -> tuple[State, bool]:
            scratch.conditions = {inner_key: state} if state else {}
            changed = update(scratch)
            return scratch.conditions.get(inner_key, []), changed

        def update(
            row: Row,
            properties: Properties,
            event_ms: int,
            decided_ms: int,
            now_ms: int,
            touched: list[int],
        ) -> bool:
            ignored.clear()

            def one(on: Row) -> bool:
                return inner(on, properties, event_ms, decided_ms, now_ms, ignored)

            state = row.conditions.get(key) or [[]]
            if len(state) > 1 and state[1] < now_ms:
                state = [state[2]]
            if event_ms == now_ms and latest(now_ms) == now_ms:
                before, after = state[0], state[2] if len(state) > 1 else deepcopy(state[0])
                after, changed = take(after, one)
                state = [before, now_ms, after] if changed else state
            else:
                kept, changed = take(state[0], one)
                state = [kept, *state[1:]]
                if len(state) > 1:
                    state[2], also = take(state[2], one)
                    changed = changed or also
            if not changed:
                return False
            if len(state) > 1 or state[0]:
                row.conditions[key] = state
            else:
                row.conditions.pop(key, None)
            touched.append(key)
            return True

        return update


def state_seen(state: State | None, at_ms: int) -> State:
    """The inner state that counts at an instant."""
    if not state:
        return []
    seen: State = state[0] if len(state) == 1 or at_ms <= state[1] else state[2]
    return seen


@dataclass(frozen=True, slots=True)
class BatchTruth:
    """A batch audience: ``rule`` at the latest compute instant, over conditions that are BatchConditions."""

    key: int
    """Of the audience, in ``Row.audiences``."""
    rule: CompiledRule
    schedule: ComputeInstants

    def node(self) -> CompiledRule:
        return CompiledRule(self.truth, self.change)

    def truth(self, row: Row, at_ms: int) -> bool:
        """The value at an instant no earlier than the row's last step. Between compute instants it is the
        membership; at one, and after one that the row hasn't come to yet, it is the rule's."""
        computed_ms = self.schedule.latest(at_ms)
        if computed_ms is None:
            return False
        if computed_ms == at_ms or computed_ms > row.now_ms:
            return self.rule.truth(row, computed_ms)
        membership = row.audiences.get(self.key)
        return membership is not None and membership.inside

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
    source: StateCondition,
    max_samples: int,
    audience: language.Audience,
    schedule: ComputeInstants,
) -> Condition:
    """A condition of a batch audience. Those of audiences with one schedule and zone share their state."""
    inner = build_condition(project, source, max_samples, audience.timezone, schedule_scope(audience))
    if isinstance(source, language.EventCondition) and isinstance(source.window, language.SinceEntry):
        return inner  # it tells the events of the latest instant apart by itself
    return BatchCondition(inner.key, inner, schedule)
