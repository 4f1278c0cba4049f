"""Conditions on sums, exact whatever the order in which amounts come and go."""

from __future__ import annotations

from bisect import bisect_right
from math import fsum

from rules import model
from rules.condition import Condition, Properties, State, length_ms_of, path_of
from rules.operators import lookup

FLOAT_LIMIT = 1e290
"""Numbers beyond this do not take part in sums, so that no sum of any length overflows."""


class SumEver(Condition):
    """State: the exact sum as non-overlapping floats (Shewchuk 1997, as math.fsum keeps it)."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(round(fsum(state), 9) if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        number = number_of(lookup(properties, self.path))
        if number is not None:
            add_exactly(state, number)


class SumWithin(Condition):
    """State: [times ascending, their values, the exact sum of all values as in SumEver]."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)
        self.length_ms = length_ms_of(source)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        times, values, exact = state
        gone = bisect_right(times, at_ms - self.length_ms)
        if gone:
            exact = list(exact)
            for expired in values[:gone]:
                add_exactly(exact, -expired)
        return self.compare(round(fsum(exact), 9))

    def flips_only_later(self, state: State) -> bool:
        return self.at_least and len(state[0]) < self.max_samples and min(state[1]) >= 0 if state else True

    def next_flip(self, state: State, after_ms: int) -> int | None:
        times, values, exact = state
        length_ms = self.length_ms
        rest = list(exact)
        gone = bisect_right(times, after_ms - length_ms)
        for expired in values[:gone]:
            add_exactly(rest, -expired)
        now = self.compare(round(fsum(rest), 9))
        while gone < len(times):
            flip: int = times[gone] + length_ms
            while gone < len(times) and times[gone] + length_ms == flip:
                add_exactly(rest, -values[gone])
                gone += 1
            if self.compare(round(fsum(rest), 9)) != now:
                return flip
        return None

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        number = number_of(lookup(properties, self.path))
        horizon = now_ms - self.length_ms
        if number is not None and event_ms > horizon:
            if not state:
                state.extend(([], [], []))
            times, values, exact = state
            at = bisect_right(times, event_ms)
            times.insert(at, event_ms)
            values.insert(at, number)
            add_exactly(exact, number)
        if not state:
            return
        times, values, exact = state
        gone = bisect_right(times, horizon)
        if len(times) - gone > self.max_samples:
            self.dropped_samples += len(times) - gone - self.max_samples
            gone = len(times) - self.max_samples
        if gone:
            for expired in values[:gone]:
                add_exactly(exact, -expired)
            del times[:gone], values[:gone]
            if not times:
                state.clear()


def add_exactly(partials: State, number: float) -> None:
    """Add to a list of non-overlapping floats without losing a bit (Shewchuk's grow-expansion)."""
    kept = 0
    for partial in partials:
        high, low = (number, partial) if abs(number) >= abs(partial) else (partial, number)
        number = high + low
        error = low - (number - high)
        if error:
            partials[kept] = error
            kept += 1
    partials[kept:] = [number] if number else []


def number_of(value: object) -> float | None:
    """A value that takes part in sums and means; None for all else."""
    if (type(value) is float or type(value) is int) and -FLOAT_LIMIT < value < FLOAT_LIMIT:
        return float(value)
    return None
