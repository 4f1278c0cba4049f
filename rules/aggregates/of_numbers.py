"""Accumulators of numbers: sum, mean, least and greatest (``rules.aggregates.accumulator``)."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum
from typing import Any

from rules.aggregates.accumulator import Accumulator, Additive, Series
from rules.aggregates.sums import add_exactly, exact_parts, number_of
from rules.aggregates.windows import Window
from rules.model import language
from rules.predicates.comparisons import comparison_of
from rules.predicates.paths import readings_of
from rules.state.condition import Event


class Sum(Additive):
    """[floats that don't overlap, whose sum is exact] (``rules.aggregates.sums``)."""

    def __init__(self, source: language.Aggregate) -> None:
        assert source.property is not None
        self.numbers = readings_of(source.property, number_of)
        self.compare = comparison_of(source.comparisons)

    def sample(self, event: Event) -> list[Any] | None:
        numbers = self.numbers(event.properties)
        return exact_parts(numbers) if numbers else None

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        self.add(series.accumulators[at], sample)

    def total(self) -> list[float]:
        return []

    def add(self, total: list[float], accumulator: list[Any]) -> None:
        for number in accumulator:
            add_exactly(total, number)

    def take_away(self, total: list[float], accumulator: list[Any]) -> None:
        self.add(total, [-number for number in accumulator])

    def compares(self, total: list[float]) -> bool:
        return self.compare(round(fsum(total), 9))


class Average(Additive):
    """[number of values, floats that don't overlap and whose sum is exact]."""

    def __init__(self, source: language.Aggregate) -> None:
        assert source.property is not None
        self.numbers = readings_of(source.property, number_of)
        self.compare = comparison_of(source.comparisons)

    def sample(self, event: Event) -> list[Any] | None:
        numbers = self.numbers(event.properties)
        return [len(numbers), *exact_parts(numbers)] if numbers else None

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        self.add(series.accumulators[at], sample)

    def total(self) -> list[Any]:
        return [0]

    def add(self, total: list[Any], accumulator: list[Any]) -> None:
        count, *exact = total
        for number in accumulator[1:]:
            add_exactly(exact, number)
        total[:] = [count + accumulator[0], *exact]

    def take_away(self, total: list[Any], accumulator: list[Any]) -> None:
        self.add(total, [-number for number in accumulator])

    def compares(self, total: list[Any]) -> bool:
        count, *exact = total
        return count > 0 and self.compare(round(fsum(exact) / count, 9))


def _storable(value: object) -> float | int | None:
    """A number as it can be stored; None for all else."""
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else number_of(value)
    return value if type(value) is float and abs(value) < float("inf") else None


class Extreme(Accumulator):
    """[the least value], or the greatest."""

    def __init__(self, source: language.Aggregate) -> None:
        assert source.property is not None
        self.numbers = readings_of(source.property, _storable)
        self.compare = comparison_of(source.comparisons)
        self.pick: Callable[..., Any] = min if source.kind == "min" else max

    def sample(self, event: Event) -> list[Any] | None:
        numbers = self.numbers(event.properties)
        return [self.pick(numbers)] if numbers else None

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        series.accumulators[at] = self.pick(series.accumulators[at], sample)

    def holds(self, series: Series, first: int, end: int, at_ms: int) -> bool:
        return first < end and self.compare(self.pick(series.accumulators[first:end])[0])

    def thin(self, window: Window, series: Series, joined: int) -> None:
        """Of those that joined, one with a later one at least as extreme can go."""
        kept = series.accumulators
        for at in range(joined - 2, -1, -1):
            if self.pick(kept[at + 1], kept[at]) == kept[at + 1]:
                series.remove(at)
