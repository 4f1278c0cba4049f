"""Accumulators of numbers: sum, mean, least and greatest (``rules.aggregates.accumulator``)."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum
from typing import Any

from rules.aggregates.accumulator import Accumulator, Accumulators, Times
from rules.aggregates.sums import add_exactly, exact_parts, number_of
from rules.aggregates.windows import Window
from rules.model import language
from rules.predicates.comparisons import comparison_of
from rules.predicates.paths import readings_of
from rules.state.condition import Properties


class Sum(Accumulator):
    """[floats that don't overlap, whose sum is exact] (``rules.aggregates.sums``)."""

    def __init__(self, source: language.Aggregate) -> None:
        assert source.property is not None
        self.numbers = readings_of(source.property, number_of)
        self.compare = comparison_of(source.comparisons)

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        numbers = self.numbers(properties)
        return exact_parts(numbers) if numbers else None

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        for number in sample:
            add_exactly(accumulators[at], number)

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        return self.compare(
            round(fsum([number for accumulator in accumulators[first:end] for number in accumulator]), 9)
        )

    def rolling_holds(self, times: Times, accumulators: Accumulators) -> Callable[[int, int, int], bool]:
        exact: list[float] = []
        at = [0, 0]

        def holds(first: int, end: int, at_ms: int) -> bool:
            for accumulator in accumulators[at[1] : end]:
                for number in accumulator:
                    add_exactly(exact, number)
            for accumulator in accumulators[at[0] : first]:
                for number in accumulator:
                    add_exactly(exact, -number)
            at[:] = first, end
            return self.compare(round(fsum(exact), 9))

        return holds


class Average(Accumulator):
    """[number of values, floats that don't overlap and whose sum is exact]."""

    def __init__(self, source: language.Aggregate) -> None:
        assert source.property is not None
        self.numbers = readings_of(source.property, number_of)
        self.compare = comparison_of(source.comparisons)

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        numbers = self.numbers(properties)
        return [len(numbers), *exact_parts(numbers)] if numbers else None

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        count, *exact = accumulators[at]
        for number in sample[1:]:
            add_exactly(exact, number)
        accumulators[at] = [count + sample[0], *exact]

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        stretch = accumulators[first:end]
        count = sum([accumulator[0] for accumulator in stretch])
        return self._compares(count, [number for accumulator in stretch for number in accumulator[1:]])

    def rolling_holds(self, times: Times, accumulators: Accumulators) -> Callable[[int, int, int], bool]:
        exact: list[float] = []
        at = [0, 0, 0]

        def holds(first: int, end: int, at_ms: int) -> bool:
            count = at[2]
            for accumulator in accumulators[at[1] : end]:
                count += accumulator[0]
                for number in accumulator[1:]:
                    add_exactly(exact, number)
            for accumulator in accumulators[at[0] : first]:
                count -= accumulator[0]
                for number in accumulator[1:]:
                    add_exactly(exact, -number)
            at[:] = first, end, count
            return self._compares(count, exact)

        return holds

    def _compares(self, count: int, numbers: list[float]) -> bool:
        return count > 0 and self.compare(round(fsum(numbers) / count, 9))


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

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        numbers = self.numbers(properties)
        return [self.pick(numbers)] if len(numbers) > 1 else numbers or None

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        accumulators[at] = self.pick(accumulators[at], sample)

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        return first < end and self.compare(self.pick(accumulators[first:end])[0])

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        """Of those that joined, one with a later one at least as extreme can go."""
        for at in range(joined - 2, -1, -1):
            if self.pick(accumulators[at + 1], accumulators[at]) == accumulators[at + 1]:
                del times[at], accumulators[at]
