"""Event conditions of every aggregate over every window that depends on the instant alone.

The commonest have faster classes of their own (``rules.aggregates.counts``, ``rules.aggregates.sums``,
``rules.aggregates.distincts``); this one takes all the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from rules.aggregates.accumulator import Accumulator
from rules.aggregates.aggregate_condition import AggregateCondition
from rules.aggregates.of_events import Since
from rules.aggregates.windows import Always, Window, counting, next_change
from rules.model import language
from rules.state.condition import Properties
from rules.state.row import Row
from rules.time.instants import FAR_MS


class GeneralAggregate(AggregateCondition[list[Any]]):
    """State: [event times ascending, their accumulators] (``rules.aggregates.accumulator``)."""

    def __init__(
        self,
        key: int,
        source: language.EventCondition,
        max_samples: int,
        window: Window,
        accumulator: Accumulator,
    ) -> None:
        super().__init__(key, source, max_samples)
        self.window = window
        self.accumulator = accumulator
        self._moves = not isinstance(window, Always)
        self.has_timers = self._moves or isinstance(accumulator, Since)
        self._only_later = not self.has_timers or (
            self.at_least and accumulator.grows and window.joins_at_once
        )

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        times, accumulators = state or ([], [])
        first, end = counting(self.window, times, at_ms)
        return self.accumulator.holds(times, accumulators, first, end, at_ms)

    def timers_only_later(self, state: list[Any] | None) -> bool:
        return self._only_later

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        times, accumulators = state or ([], [])
        window, accumulator = self.window, self.accumulator
        holds = accumulator.rolling_holds(times, accumulators)
        first, end = counting(window, times, after_ms)
        now, at_ms = holds(first, end, after_ms), after_ms
        while True:
            at_ms = min(next_change(window, times, at_ms), accumulator.next_change(times, first, end, at_ms))
            if at_ms >= FAR_MS:
                return None
            first, end = counting(window, times, at_ms)
            if holds(first, end, at_ms) != now:
                return at_ms

    def apply(
        self, row: Row, state: list[Any] | None, event_ms: int, properties: Properties, now_ms: int
    ) -> list[Any] | None:
        window, accumulator = self.window, self.accumulator
        low = window.low(now_ms)
        if event_ms >= low and window.admits(event_ms):
            sample = accumulator.sample(event_ms, properties)
            if sample is not None:
                state = state or [[], []]
                self._take(state[0], state[1], event_ms, sample)
        if not state:
            return state
        times, accumulators = state
        if self._moves:
            gone = bisect_left(times, low)
            del times[:gone], accumulators[:gone]
            accumulator.thin(window, times, accumulators, bisect_right(times, window.high(now_ms)))
        over = len(times) - self.max_samples
        if over > 0:
            self.dropped_samples += over
            del times[:over], accumulators[:over]
        return state if times else None

    def _take(
        self, times: list[int], accumulators: list[list[object]], event_ms: int, sample: list[object]
    ) -> None:
        first, last = self.window.alike(event_ms)
        at = bisect_left(times, first)
        if at < len(times) and times[at] <= last:
            self.accumulator.merge(times, accumulators, at, event_ms, sample)
            return
        times.insert(at, event_ms)
        accumulators.insert(at, sample)
