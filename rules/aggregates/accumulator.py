"""What a condition keeps of events that count at the same instants, and the aggregate of several of these.

An accumulator stands for every event whose time is ``alike`` its own (``rules.aggregates.windows``); it is a
list of plain values, and the time is that of one of them: of the earliest for ``first``, of the latest for
``last``. An aggregate looks at one stretch of a series, ``first`` to ``end``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from rules.aggregates.windows import Window
from rules.state.condition import Event
from rules.time.instants import FAR_MS


@dataclass(slots=True)
class Series:
    """Event times ascending, and their accumulators."""

    times: list[int] = field(default_factory=list)
    accumulators: list[list[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, state: list[Any] | None) -> Series:
        """The series that a state is: to be read, not to be changed."""
        return cls(*state) if state else cls()

    @classmethod
    def copy_of(cls, state: list[Any] | None) -> Series:
        """A series that may change while the state stays as it is."""
        times, accumulators = state or ([], [])
        return cls([*times], [[*each] for each in accumulators])

    def stored(self) -> list[Any]:
        """As the row has it; empty: nothing."""
        return [self.times, self.accumulators] if self.times else []

    def insert(self, at: int, event_ms: int, accumulator: list[Any]) -> None:
        self.times.insert(at, event_ms)
        self.accumulators.insert(at, accumulator)

    def remove(self, at: int) -> None:
        del self.times[at], self.accumulators[at]

    def drop_first(self, number: int) -> None:
        del self.times[:number], self.accumulators[:number]


class Accumulator:
    """One aggregate with its comparisons. Kinds say what an event adds and whether a stretch compares."""

    def sample(self, event: Event) -> list[Any] | None:
        """The accumulator of one event; None: it doesn't take part."""
        raise NotImplementedError

    def merge(self, series: Series, at: int, event_ms: int, sample: list[Any]) -> None:
        """Take the accumulator of events that arrived later into that at ``at``."""
        raise NotImplementedError

    def holds(self, series: Series, first: int, end: int, at_ms: int) -> bool:
        """Whether the aggregate of a stretch compares."""
        raise NotImplementedError

    def moving(self, series: Series) -> Moving:
        """``holds`` of stretches that only move on."""
        return _Anew(self, series)

    def next_change(self, series: Series, first: int, end: int, after_ms: int) -> int:
        """When a stretch may next compare otherwise, though it stays the same; ``FAR_MS``: never."""
        return FAR_MS

    def thin(self, window: Window, series: Series, joined: int) -> None:
        """Let go of what can't matter any more. The first ``joined`` have all joined the window, so what of
        them comes later stays longer."""


class Moving(Protocol):
    """Whether the aggregate of a stretch compares, asked again and again while the stretch moves on: neither
    ``first`` nor ``end`` ever goes back."""

    def holds(self, first: int, end: int, at_ms: int) -> bool: ...


@dataclass(slots=True)
class _Anew:
    """Looks at each stretch as if it were the first."""

    accumulator: Accumulator
    series: Series

    def holds(self, first: int, end: int, at_ms: int) -> bool:
        return self.accumulator.holds(self.series, first, end, at_ms)


class Additive(Accumulator):
    """An aggregate that is a total, whatever the order of the events, so that it can follow a stretch."""

    def total(self) -> Any:
        """Of no events. It is changed in place."""
        raise NotImplementedError

    def add(self, total: Any, accumulator: list[Any]) -> None:
        raise NotImplementedError

    def take_away(self, total: Any, accumulator: list[Any]) -> None:
        """Undo one ``add``."""
        raise NotImplementedError

    def compares(self, total: Any) -> bool:
        raise NotImplementedError

    def holds(self, series: Series, first: int, end: int, at_ms: int) -> bool:
        total = self.total()
        for each in series.accumulators[first:end]:
            self.add(total, each)
        return self.compares(total)

    def moving(self, series: Series) -> Moving:
        return _MovingTotal(self, series, self.total())


@dataclass(slots=True)
class _MovingTotal:
    accumulator: Additive
    series: Series
    total: Any
    first: int = 0
    end: int = 0

    def holds(self, first: int, end: int, at_ms: int) -> bool:
        for each in self.series.accumulators[self.end : end]:
            self.accumulator.add(self.total, each)
        for each in self.series.accumulators[self.first : first]:
            self.accumulator.take_away(self.total, each)
        self.first, self.end = first, end
        return self.accumulator.compares(self.total)
