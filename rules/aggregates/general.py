"""Event conditions of every aggregate over every window that depends on the instant alone.

Counts, sums and distinct values, for ever or ``within``, keep less: they have classes of their own
(``rules.aggregates.counts``, ``rules.aggregates.sums``, ``rules.aggregates.distincts``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from rules.aggregates.accumulator import Accumulator, Series
from rules.aggregates.aggregate_condition import AggregateCondition
from rules.aggregates.of_events import Since
from rules.aggregates.windows import Always, Window, counting, next_change
from rules.model import language
from rules.state.condition import Event
from rules.state.row import Row
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS


class GeneralAggregate(AggregateCondition[list[Any]]):
    """State: the parts of a ``Series``."""

    def __init__(
        self,
        key: int,
        source: language.EventCondition,
        max_samples: int,
        calendar: Calendar,
        window: Window,
        accumulator: Accumulator,
    ) -> None:
        super().__init__(key, source, max_samples, calendar)
        self.window = window
        self.accumulator = accumulator
        self.moves = not isinstance(window, Always)
        self.has_timers = self.moves or isinstance(accumulator, Since)

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        series = Series.of(state)
        first, end = counting(self.window, series.times, at_ms)
        return self.accumulator.holds(series, first, end, at_ms)

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        series = Series.of(state)
        moving = self.accumulator.moving(series)
        first, end = counting(self.window, series.times, after_ms)
        now, at_ms = moving.holds(first, end, after_ms), after_ms
        while True:
            at_ms = min(
                next_change(self.window, series.times, at_ms),
                self.accumulator.next_change(series, first, end, at_ms),
            )
            if at_ms >= FAR_MS:
                return None
            first, end = counting(self.window, series.times, at_ms)
            if moving.holds(first, end, at_ms) != now:
                return at_ms

    def add(self, row: Row, state: list[Any] | None, event: Event) -> list[Any]:
        series = Series.copy_of(state)
        low = self.window.low(event.now_ms)
        if event.time_ms >= low and self.window.admits(event.time_ms):
            sample = self.accumulator.sample(event)
            if sample is not None:
                self._put(series, event.time_ms, sample)
        if self.moves:
            series.drop_first(bisect_left(series.times, low))
            joined = bisect_right(series.times, self.window.high(event.now_ms))
            self.accumulator.thin(self.window, series, joined)
        over = max(0, len(series.times) - self.max_samples)
        self.dropped_samples += over
        series.drop_first(over)
        return series.stored()

    def _put(self, series: Series, event_ms: int, sample: list[Any]) -> None:
        first, last = self.window.alike(event_ms)
        at = bisect_left(series.times, first)
        if at < len(series.times) and series.times[at] <= last:
            self.accumulator.merge(series, at, event_ms, sample)
        else:
            series.insert(at, event_ms, sample)
