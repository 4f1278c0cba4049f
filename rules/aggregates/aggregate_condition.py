"""What the conditions have in common that aggregate events: comparisons, a filter, one way to take events."""

from __future__ import annotations

from bisect import bisect_right
from copy import deepcopy
from typing import Generic, TypeVar

from rules.model import language
from rules.predicates.comparisons import Compare, comparison_of, is_at_least
from rules.predicates.compiled import compile_predicate
from rules.state.condition import Properties, Update
from rules.state.row import Row, State

S = TypeVar("S", bound=State)
"""The state of one kind."""


class AggregateCondition(Generic[S]):
    """One aggregate of events and its comparisons. Kinds say what they keep, ``S``, and differ in ``value``,
    ``next_timer`` and ``apply``."""

    has_timers = False

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        self.key = key
        self.source = source
        self.names = source.names
        self.where = compile_predicate(source.where) if source.where is not None else None
        comparisons = source.aggregate.comparisons
        self.compare: Compare = comparison_of(comparisons)
        self.at_least = is_at_least(comparisons)
        """More can only make it true, or keep it so for longer."""
        self.max_samples = max_samples
        self.dropped_samples = 0

    def value(self, row: Row, state: S | None, at_ms: int) -> bool:
        raise NotImplementedError

    def next_timer(self, row: Row, state: S, after_ms: int) -> int | None:
        return None

    def apply(
        self, row: Row, state: S | None, event_ms: int, properties: Properties, now_ms: int
    ) -> S | None:
        """Take one matching event. What to keep: the state, changed in place, or another; empty: nothing."""
        raise NotImplementedError

    def plain(self, row: Row, state: S) -> State:
        return deepcopy(state)

    def timers_only_later(self, state: S | None) -> bool:
        """Whether one more event, if it left the truth as it was, can only have put the next timer off."""
        return not self.has_timers

    def updater_for(self, name: str) -> Update:
        """How events are taken, whatever name they have; kinds that can do it faster replace it."""
        key, where = self.key, self.where
        value, apply, later = self.value, self.apply, self.timers_only_later

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            states = row.conditions
            stored: S | None = states.get(key)
            before = value(row, stored, decided_ms)
            state = apply(row, stored, event_ms, properties, now_ms)
            if state:
                states[key] = state
            else:
                states.pop(key, None)
            if value(row, state, now_ms) != before or not later(state):
                touched.append(key)
            return True

        return update


def next_expiry_timer(times: list[int], length_ms: int, after_ms: int, compare: Compare) -> int | None:
    """For a value that is the number of ``times`` in the window: when it next compares otherwise."""
    gone = bisect_right(times, after_ms - length_ms)
    size = len(times)
    now = compare(size - gone)
    while gone < size:
        expiring = times[gone]
        gone = bisect_right(times, expiring, gone)
        if compare(size - gone) != now:
            return expiring + length_ms
    return None


def length_ms_of(source: language.EventCondition) -> int:
    """Of a condition whose window is ``within``."""
    assert isinstance(source.window, language.Within)
    return source.window.length_ms


def path_of(source: language.EventCondition) -> language.Path:
    """Of a condition whose aggregate is of a property."""
    assert source.aggregate.property is not None
    return source.aggregate.property
