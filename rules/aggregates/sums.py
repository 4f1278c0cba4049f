"""Conditions on sums, exact whatever the order in which amounts come and go."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import fsum
from typing import Any, Final

from rules.aggregates.aggregate_condition import AggregateCondition, WithinCondition, next_expiry
from rules.state.condition import Event
from rules.state.event_times import EventTimes, instants
from rules.state.row import Row, State

FLOAT_LIMIT = 1e290
"""Numbers beyond this do not take part in sums, so that no sum of any length overflows."""


class SumEver(AggregateCondition[list[float]]):
    """State: the exact sum as non-overlapping floats (Shewchuk 1997, as math.fsum keeps it)."""

    def value(self, row: Row, state: list[float] | None, at_ms: int) -> bool:
        return self.compare(round(fsum(state or ()), 9))

    def add(self, row: Row, state: list[float] | None, event: Event) -> list[float] | None:
        number = number_of(self.get(event.properties))
        if number is None:
            return state
        exact = [*(state or ())]
        add_exactly(exact, number)
        return exact


class SumWithin(WithinCondition[list[Any]]):
    """State: [``EventTimes``, the events' values, their exact sum as in SumEver]."""

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        refs, values, _ = state or _NOTHING
        gone = bisect_right(instants(row, refs), at_ms - self.length_ms)
        return self.compare(round(fsum(values[gone:]), 9))

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        refs, values, _ = state
        sums = _sums_from_each_on(values)
        return next_expiry(
            instants(row, refs), self.length_ms, after_ms, lambda gone: self.compare(sums[gone])
        )

    def add(self, row: Row, state: list[Any] | None, event: Event) -> list[Any]:
        refs, values, exact = state or _NOTHING
        times, values, exact = EventTimes(row, refs), [*values], [*exact]
        number = number_of(self.get(event.properties))
        horizon = event.now_ms - self.length_ms
        if number is not None and event.time_ms > horizon:
            at = times.up_to(event.time_ms)
            if at == 0 and len(times.ms) == self.max_samples:
                self.dropped_samples += 1  # this one, because all others are later
            else:
                times.insert(at, event.time_ms)
                values.insert(at, number)
                add_exactly(exact, number)
        gone = times.up_to(horizon)
        over = max(0, len(times.ms) - gone - self.max_samples)
        self.dropped_samples += over
        gone += over
        for expired in values[:gone]:
            add_exactly(exact, -expired)
        times.drop_first(gone)
        return [times.refs, values[gone:], exact] if times.refs else []

    def plain(self, row: Row, state: list[Any]) -> State:
        refs, values, _ = state
        times, numbers = EventTimes(row, refs).grouped(values)
        return [times, [exact_parts(each) for each in numbers]]


_NOTHING: Final[tuple[str, list[float], list[float]]] = ("", [], [])


def _sums_from_each_on(values: Sequence[float]) -> list[float]:
    """The sum of all, of all but the first, and so on, down to that of none."""
    exact: list[float] = []
    sums = [0.0]
    for value in reversed(values):
        add_exactly(exact, value)
        sums.append(round(fsum(exact), 9))
    sums.reverse()
    return sums


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
