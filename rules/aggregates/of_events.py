"""Accumulators of events and their times: how many, of what, the first and the last
(``rules.aggregates.accumulator``)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rules.aggregates.accumulator import Accumulator, Accumulators, Times
from rules.aggregates.distincts import distinct_value
from rules.aggregates.of_numbers import Average, Extreme, Sum
from rules.aggregates.windows import Window
from rules.model import language
from rules.predicates.comparisons import comparison_of, count_bound
from rules.predicates.dates import compile_dated_predicate
from rules.predicates.paths import first_of, readings_of
from rules.state.condition import Properties
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS


class Count(Accumulator):
    """[number of events], no further than the comparisons can tell apart."""

    grows = True

    def __init__(self, source: language.Aggregate) -> None:
        self.compare = comparison_of(source.comparisons)
        self.bound = count_bound(source.comparisons)

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        return [1]

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        accumulators[at][0] = min(accumulators[at][0] + sample[0], self.bound)

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        count = 0
        for accumulator in accumulators[first:end]:
            count += accumulator[0]
        return self.compare(count)

    def rolling_holds(self, times: Times, accumulators: Accumulators) -> Callable[[int, int, int], bool]:
        totals = [0]
        for (number,) in accumulators:
            totals.append(totals[-1] + number)
        compare = self.compare
        return lambda first, end, at_ms: compare(totals[end] - totals[first])

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        count, at = 0, joined
        while at and count < self.bound:
            at -= 1
            count += accumulators[at][0]
        del times[:at], accumulators[:at]
        joined -= at
        # Of those yet to join, one is as good as gone if enough others count whenever it does: those that
        # joined before it, until the ones after it have joined, too.
        at = len(times) - 2
        while at >= joined:
            before = self._reach(accumulators, at, -1)
            after = self._reach(accumulators, at, 1)
            if (
                before is not None
                and after is not None
                and window.joins(times[after]) <= window.leaves(times[before])
            ):
                del times[at], accumulators[at]
            at -= 1

    def _reach(self, accumulators: Accumulators, at: int, step: int) -> int | None:
        """The nearest index up to which there are as many others as the comparisons can tell apart."""
        count = 0
        while count < self.bound:
            at += step
            if not 0 <= at < len(accumulators):
                return None
            count += accumulators[at][0]
        return at


class Distinct(Accumulator):
    """[different values], no more than the comparisons can tell apart: of a property, or calendar days."""

    grows = True

    def __init__(self, source: language.Aggregate, calendar: Calendar) -> None:
        self.compare = comparison_of(source.comparisons)
        self.bound = count_bound(source.comparisons)
        self.path = source.property
        self.different = readings_of(source.property or (), distinct_value)
        self.calendar = calendar

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        if self.path is None:
            return [self.calendar.period("day", event_ms)]
        found: list[Any] = self.different(properties)
        return [*dict.fromkeys(found)][: self.bound] if len(found) > 1 else found or None

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        accumulator = accumulators[at]
        for value in sample:
            if len(accumulator) < self.bound and value not in accumulator:
                accumulator.append(value)

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        return self.compare(len({value for accumulator in accumulators[first:end] for value in accumulator}))

    def rolling_holds(self, times: Times, accumulators: Accumulators) -> Callable[[int, int, int], bool]:
        numbers: dict[Any, int] = {}
        at = [0, 0]

        def holds(first: int, end: int, at_ms: int) -> bool:
            for accumulator in accumulators[at[1] : end]:
                for value in accumulator:
                    numbers[value] = numbers.get(value, 0) + 1
            for accumulator in accumulators[at[0] : first]:
                for value in accumulator:
                    numbers[value] -= 1
                    if not numbers[value]:
                        del numbers[value]
            at[:] = first, end
            return self.compare(len(numbers))

        return holds

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        """Of those that joined, a value stands where it was last, and the latest values are enough."""
        if joined < 2:
            return
        seen: set[Any] = set()
        for at in range(joined - 1, -1, -1):
            if len(seen) >= self.bound:
                del times[: at + 1], accumulators[: at + 1]
                return
            kept = [value for value in accumulators[at] if value not in seen]
            if kept:
                accumulators[at] = kept
                seen.update(kept)
            else:
                del times[at], accumulators[at]


class First(Accumulator):
    """[whether the property of the earliest event passes the test]; with ``last``, of the latest event."""

    def __init__(self, source: language.Aggregate, calendar: Calendar) -> None:
        assert source.property is not None
        assert source.test is not None
        self.get = first_of(source.property)
        self.test = compile_dated_predicate(_of_the_value(source.test), calendar)
        self.last = source.kind == "last"

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        return [self.test(self.get(properties), event_ms)]

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        if event_ms >= times[at] if self.last else event_ms < times[at]:
            times[at], accumulators[at] = event_ms, sample

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        return first < end and bool(accumulators[end - 1 if self.last else first][0])

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        if self.last and joined > 1:
            del times[: joined - 1], accumulators[: joined - 1]


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

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        return []

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        times[at] = max(times[at], event_ms) if self.last else min(times[at], event_ms)

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        return first < end and self.compare(at_ms - times[end - 1 if self.last else first])

    def next_change(self, times: Times, first: int, end: int, after_ms: int) -> int:
        if first >= end:
            return FAR_MS
        event_ms = times[end - 1 if self.last else first]
        at = bisect_left(self.bounds, after_ms - event_ms + 1)
        return event_ms + self.bounds[at] if at < len(self.bounds) else FAR_MS

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        if self.last and joined > 1:
            del times[: joined - 1], accumulators[: joined - 1]


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
