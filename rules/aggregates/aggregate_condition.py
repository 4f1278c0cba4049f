"""What the conditions have in common that aggregate events: comparisons and a filter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rules.model import language
from rules.predicates.comparisons import comparison_of, count_bound
from rules.predicates.compiled import compile_dated_predicate
from rules.predicates.paths import getter_of
from rules.state.condition import Event
from rules.state.row import Row, State
from rules.time.calendar import Calendar

S = TypeVar("S", bound=State)
"""The state of one kind."""


class AggregateCondition(Generic[S]):
    """One aggregate of events and its comparisons. Kinds say what they keep, ``S``, and differ in ``value``,
    ``next_timer`` and ``add``."""

    has_timers = False

    def __init__(
        self, key: int, source: language.EventCondition, max_samples: int, calendar: Calendar
    ) -> None:
        self.key = key
        self.source = source
        self.names = source.names
        self.where = None if source.where is None else compile_dated_predicate(source.where, calendar)
        comparisons = source.aggregate.comparisons
        self.compare = comparison_of(comparisons)
        self.bound = count_bound(comparisons)
        """The number from which on all numbers of events, or of values, compare alike."""
        self.get = getter_of(source.aggregate.property or ())
        """The value that is aggregated, of an event's properties."""
        self.max_samples = max_samples
        self.dropped_samples = 0

    def value(self, row: Row, state: S | None, at_ms: int) -> bool:
        raise NotImplementedError

    def next_timer(self, row: Row, state: S, after_ms: int) -> int | None:
        return None

    def take(self, row: Row, state: S | None, event: Event) -> S | None:
        if self.where is not None and not self.where(event.properties, event.time_ms):
            return state
        return self.add(row, state, event)

    def add(self, row: Row, state: S | None, event: Event) -> S | None:
        """The state with an event that passes the filter; empty: nothing is kept."""
        raise NotImplementedError

    def plain(self, row: Row, state: S) -> State:
        return state


class WithinCondition(AggregateCondition[S]):
    """One whose window is ``within``."""

    has_timers = True

    def __init__(
        self, key: int, source: language.EventCondition, max_samples: int, calendar: Calendar
    ) -> None:
        super().__init__(key, source, max_samples, calendar)
        assert isinstance(source.window, language.Within)
        self.length_ms = source.window.length_ms


def next_expiry(
    times: Sequence[int], length_ms: int, after_ms: int, holds: Callable[[int], bool]
) -> int | None:
    """When a value next changes because ``times``, ascending, leave a window.

    ``holds`` says whether what is left without the first so many compares; the number only grows.
    """
    gone = bisect_right(times, after_ms - length_ms)
    now = holds(gone)
    while gone < len(times):
        expiring = times[gone]
        gone = bisect_right(times, expiring, gone)
        if holds(gone) != now:
            return expiring + length_ms
    return None
