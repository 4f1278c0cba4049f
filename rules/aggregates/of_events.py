"""Accumulators of events and their times: how many, of what, the first and the last
(``rules.aggregates.accumulator``)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import replace
from typing import Any

from rules.aggregates.accumulator import Accumulator, Additive, Series
from rules.aggregates.distincts import distinct_value
from rules.aggregates.of_numbers import Average, Extreme, Sum
from rules.aggregates.windows import Window
from rules.model import language
from rules.predicates.comparisons import comparison_of, count_bound
from rules.predicates.compiled import compile_dated_predicate
from rules.predicates.paths import first_of, readings_of
from rules.state.condition import Event
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS


class Count(Additive):
    """[number of events], no further than the comparisons can tell apart."""

    def __init__(self, source: language.Aggregate) -> None:
        self.compare = comparison_of(source.comparisons)
        self.bound = count_bound(source.comparisons)

    def sample(self, event: Event) -> list[Any] | None:
        return [1]

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        accumulator = series.accumulators[at]
        accumulator[0] = min(accumulator[0] + sample[0], self.bound)

    def total(self) -> list[int]:
        return [0]

    def add(self, total: list[int], accumulator: list[Any]) -> None:
        total[0] += accumulator[0]

    def take_away(self, total: list[int], accumulator: list[Any]) -> None:
        total[0] -= accumulator[0]

    def compares(self, total: list[int]) -> bool:
        return self.compare(total[0])

    def thin(self, window: Window, series: Series, joined: int) -> None:
        times, accumulators = series.times, series.accumulators
        count, at = 0, joined
        while at and count < self.bound:
            at -= 1
            count += accumulators[at][0]
        series.drop_first(at)
        joined -= at
        # Of those yet to join, one is as good as gone if enough others count whenever it does: those that
        # joined before it, until the ones after it have joined, too.
        for at in range(len(times) - 2, joined - 1, -1):
            before = self._reach(accumulators, at, -1)
            after = self._reach(accumulators, at, 1)
            if (
                before is not None
                and after is not None
                and window.joins(times[after]) <= window.leaves(times[before])
            ):
                series.remove(at)

    def _reach(self, accumulators: list[list[Any]], at: int, step: int) -> int | None:
        """The nearest index up to which there are as many others as the comparisons can tell apart."""
        count = 0
        while count < self.bound:
            at += step
            if not 0 <= at < len(accumulators):
                return None
            count += accumulators[at][0]
        return at


class Distinct(Additive):
    """[different values], no more than the comparisons can tell apart: of a property, or calendar days."""

    def __init__(self, source: language.Aggregate, calendar: Calendar) -> None:
        self.compare = comparison_of(source.comparisons)
        self.bound = count_bound(source.comparisons)
        self.path = source.property
        self.different = readings_of(source.property or (), distinct_value)
        self.calendar = calendar

    def sample(self, event: Event) -> list[Any] | None:
        if self.path is None:
            return [self.calendar.period("day", event.time_ms)]
        found: list[Any] = self.different(event.properties)
        return [*dict.fromkeys(found)][: self.bound] or None

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        accumulator = series.accumulators[at]
        for value in sample:
            if len(accumulator) < self.bound and value not in accumulator:
                accumulator.append(value)

    def total(self) -> Counter[Any]:
        return Counter()

    def add(self, total: Counter[Any], accumulator: list[Any]) -> None:
        total.update(accumulator)

    def take_away(self, total: Counter[Any], accumulator: list[Any]) -> None:
        total.subtract(accumulator)

    def compares(self, total: Counter[Any]) -> bool:
        return self.compare(sum(number > 0 for number in total.values()))

    def thin(self, window: Window, series: Series, joined: int) -> None:
        """Of those that joined, a value stands where it was last, and the latest values are enough."""
        if joined < 2:
            return
        seen: set[Any] = set()
        for at in range(joined - 1, -1, -1):
            if len(seen) >= self.bound:
                series.drop_first(at + 1)
                return
            kept = [value for value in series.accumulators[at] if value not in seen]
            if kept:
                series.accumulators[at] = kept
                seen.update(kept)
            else:
                series.remove(at)


class First(Accumulator):
    """[whether the property of the earliest event passes the test]; with ``last``, of the latest event."""

    def __init__(self, source: language.Aggregate, calendar: Calendar) -> None:
        assert source.property is not None
        assert source.test is not None
        self.get = first_of(source.property)
        self.test = compile_dated_predicate(_of_the_value(source.test), calendar)
        self.last = source.kind == "last"

    def sample(self, event: Event) -> list[Any] | None:
        return [self.test(self.get(event.properties), event.time_ms)]

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        known_ms = series.times[at]
        if event_ms >= known_ms if self.last else event_ms < known_ms:
            series.times[at], series.accumulators[at] = event_ms, sample

    def holds(self, series: Series, first: int, end: int, at_ms: int) -> bool:
        return first < end and bool(series.accumulators[end - 1 if self.last else first][0])

    def thin(self, window: Window, series: Series, joined: int) -> None:
        if self.last:
            series.drop_first(max(0, joined - 1))


def _of_the_value(predicate: language.Predicate) -> language.Predicate:
    """Tests of a property, as tests of its value."""
    match predicate:
        case language.Test() | language.Elements():
            return replace(predicate, path=())
        case language.AllTests(parts=parts):
            return language.AllTests(tuple([_of_the_value(part) for part in parts]))
        case _:
            raise TypeError(f"not tests of one property: {predicate}")


class Since(Accumulator):
    """[]: its time is all that ``since_first`` and ``since_last`` need."""

    def __init__(self, source: language.Aggregate) -> None:
        self.compare = comparison_of(source.comparisons)
        self.last = source.kind == "since_last"
        bounds: set[int] = set()
        for comparison in source.comparisons:
            operand = comparison.operand
            for bound in operand if isinstance(operand, tuple) else (operand,):
                bounds |= {int(bound), int(bound) + 1}
        self.bounds = sorted(bounds)
        """The ages in ms at which a comparison may turn."""

    def sample(self, event: Event) -> list[Any] | None:
        return []

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        series.times[at] = (max if self.last else min)(series.times[at], event_ms)

    def holds(self, series: Series, first: int, end: int, at_ms: int) -> bool:
        return first < end and self.compare(at_ms - series.times[end - 1 if self.last else first])

    def next_change(self, series: Series, first: int, end: int, after_ms: int) -> int:
        if first >= end:
            return FAR_MS
        event_ms = series.times[end - 1 if self.last else first]
        at = bisect_left(self.bounds, after_ms - event_ms + 1)
        return event_ms + self.bounds[at] if at < len(self.bounds) else FAR_MS

    def thin(self, window: Window, series: Series, joined: int) -> None:
        if self.last:
            series.drop_first(max(0, joined - 1))


def build_accumulator(source: language.Aggregate, calendar: Calendar) -> Accumulator:
    """The accumulator of an aggregate; ``calendar`` is the audience's, for ``days`` and dates."""
    match source.kind:
        case "count":
            return Count(source)
        case "sum":
            return Sum(source)
        case "avg":
            return Average(source)
        case "min" | "max":
            return Extreme(source)
        case "distinct" | "days":
            return Distinct(source, calendar)
        case "first" | "last":
            return First(source, calendar)
        case "since_first" | "since_last":
            return Since(source)
