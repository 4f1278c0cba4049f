"""Event conditions of every aggregate over every window that depends on the instant alone.

The commonest have faster classes of their own (``rules.aggregates.counts``, ``rules.aggregates.sums``,
``rules.aggregates.distincts``); this one takes all the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from rules.aggregates.accumulator import Tally
from rules.aggregates.of_events import Since
from rules.aggregates.windows import Always, Window, counting, next_change
from rules.model import audience as model
from rules.state.condition import FAR_MS, Condition, Properties, State
from rules.state.row import Row


class Windowed(Condition):
    """State: [event times ascending, their tallies] (``rules.aggregates.accumulator``)."""

    def __init__(
        self, key: int, source: model.EventCondition, max_samples: int, window: Window, tally: Tally
    ) -> None:
        super().__init__(key, source, max_samples)
        self.window = window
        self.tally = tally
        self._moves = not isinstance(window, Always)
        self._only_later = not self.flips or (self.at_least and tally.grows and window.joins_at_once)

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        times, tallies = state or ([], [])
        first, end = counting(self.window, times, at_ms)
        return self.tally.holds(times, tallies, first, end, at_ms)

    @property
    def flips(self) -> bool:
        return self._moves or isinstance(self.tally, Since)

    def flips_only_later(self, state: State) -> bool:
        return self._only_later

    def next_flip(self, row: Row, state: State, after_ms: int) -> int | None:
        times, tallies = state or ([], [])
        window, tally = self.window, self.tally
        holds = tally.sweep(times, tallies)
        first, end = counting(window, times, after_ms)
        now, at_ms = holds(first, end, after_ms), after_ms
        while True:
            at_ms = min(next_change(window, times, at_ms), tally.next_change(times, first, end, at_ms))
            if at_ms >= FAR_MS:
                return None
            first, end = counting(window, times, at_ms)
            if holds(first, end, at_ms) != now:
                return at_ms

    def apply(self, row: Row, state: State, event_ms: int, properties: Properties, now_ms: int) -> State:
        window, tally = self.window, self.tally
        low = window.low(now_ms)
        if event_ms >= low and window.admits(event_ms):
            sample = tally.sample(event_ms, properties)
            if sample is not None:
                if not state:
                    state.extend(([], []))
                self._take(state[0], state[1], event_ms, sample)
        if not state:
            return state
        times, tallies = state
        if self._moves:
            gone = bisect_left(times, low)
            del times[:gone], tallies[:gone]
            tally.thin(window, times, tallies, bisect_right(times, window.high(now_ms)))
        over = len(times) - self.max_samples
        if over > 0:
            self.dropped_samples += over
            del times[:over], tallies[:over]
        return state if times else []

    def _take(
        self, times: list[int], tallies: list[list[object]], event_ms: int, sample: list[object]
    ) -> None:
        first, last = self.window.alike(event_ms)
        at = bisect_left(times, first)
        if at < len(times) and times[at] <= last:
            self.tally.merge(times, tallies, at, event_ms, sample)
            return
        times.insert(at, event_ms)
        tallies.insert(at, sample)
