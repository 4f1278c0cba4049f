"""Conditions on sums, exact whatever the order in which amounts come and go."""

from __future__ import annotations

from math import fsum
from typing import Any

from rules.aggregates.aggregate_condition import AggregateCondition, length_ms_of, path_of
from rules.model import language
from rules.predicates.paths import getter_of
from rules.state.condition import Properties
from rules.state.event_times import by_time, instants, place, reference
from rules.state.row import Row, State

FLOAT_LIMIT = 1e290
"""Numbers beyond this do not take part in sums, so that no sum of any length overflows."""


class SumEver(AggregateCondition[list[float]]):
    """State: the exact sum as non-overlapping floats (Shewchuk 1997, as math.fsum keeps it)."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.get = getter_of(path_of(source))

    def value(self, row: Row, state: list[float] | None, at_ms: int) -> bool:
        return self.compare(round(fsum(state), 9) if state else 0)

    def apply(
        self, row: Row, state: list[float] | None, event_ms: int, properties: Properties, now_ms: int
    ) -> list[float]:
        state = [] if state is None else state
        number = number_of(self.get(properties))
        if number is not None:
            add_exactly(state, number)
        return state


class SumWithin(AggregateCondition[list[Any]]):
    """State: [references ascending by time, the events' values, their exact sum as in SumEver]."""

    has_timers = True

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.get = getter_of(path_of(source))
        self.length_ms = length_ms_of(source)

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        refs, values, exact = state
        gone = place(row, refs, at_ms - self.length_ms)
        if gone:
            exact = list(exact)
            for expired in values[:gone]:
                add_exactly(exact, -expired)
        return self.compare(round(fsum(exact), 9))

    def timers_only_later(self, state: list[Any] | None) -> bool:
        if not state:
            return True
        refs, values, _ = state
        return self.at_least and len(refs) < self.max_samples and min(values) >= 0

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        refs, values, exact = state
        length_ms = self.length_ms
        rest = list(exact)
        gone = place(row, refs, after_ms - length_ms)
        times = instants(row, refs)
        for expired in values[:gone]:
            add_exactly(rest, -expired)
        now = self.compare(round(fsum(rest), 9))
        while gone < len(times):
            timer_ms = times[gone] + length_ms
            while gone < len(times) and times[gone] + length_ms == timer_ms:
                add_exactly(rest, -values[gone])
                gone += 1
            if self.compare(round(fsum(rest), 9)) != now:
                return timer_ms
        return None

    def apply(
        self, row: Row, state: list[Any] | None, event_ms: int, properties: Properties, now_ms: int
    ) -> list[Any]:
        number = number_of(self.get(properties))
        horizon = now_ms - self.length_ms
        refs, values, exact = state or _nothing()
        if number is not None and event_ms > horizon:
            at = place(row, refs, event_ms)
            refs = refs[:at] + reference(row, event_ms) + refs[at:]
            values.insert(at, number)
            add_exactly(exact, number)
        gone = place(row, refs, horizon)
        if len(refs) - gone > self.max_samples:
            self.dropped_samples += len(refs) - gone - self.max_samples
            gone = len(refs) - self.max_samples
        if gone:
            for expired in values[:gone]:
                add_exactly(exact, -expired)
            refs = refs[gone:]
            del values[:gone]
        return [refs, values, exact] if refs else []

    def plain(self, row: Row, state: list[Any]) -> State:
        refs, values, _ = state
        times, sums = by_time(row, refs, values)
        for exact in sums:
            numbers, exact[1:] = exact[1:], []
            for number in numbers:
                add_exactly(exact, number)
        return [times, sums]


def _nothing() -> tuple[str, list[float], list[float]]:
    return "", [], []


def add_exactly(partials: list[float], number: float) -> None:
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


def exact_parts(numbers: list[float]) -> list[float]:
    """Non-overlapping floats with the numbers' exact sum."""
    if len(numbers) == 1:
        return numbers
    exact: list[float] = []
    for number in numbers:
        add_exactly(exact, number)
    return exact


def number_of(value: object) -> float | None:
    """A value that takes part in sums and means; None for all else."""
    if (type(value) is float or type(value) is int) and -FLOAT_LIMIT < value < FLOAT_LIMIT:
        return float(value)
    return None
