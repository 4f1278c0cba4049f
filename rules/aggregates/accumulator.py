"""What a condition keeps of events that count at the same instants, and the aggregate of several of these.

A state is [event times ascending, their accumulators]. An accumulator stands for every event whose time is
``alike`` its own (``rules.aggregates.windows``); it is a list of plain values, and the time is that of one of
them: of the earliest for ``first``, of the latest for ``last``. An aggregate looks at one stretch, ``first``
to ``end``, of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from rules.aggregates.windows import Window
from rules.state.condition import Properties
from rules.time.instants import FAR_MS

Times: TypeAlias = list[int]
Accumulators: TypeAlias = list[list[Any]]


class Accumulator:
    """One aggregate with its comparisons. Kinds say what an event adds and whether a stretch compares."""

    grows = False
    """One more event can never make the aggregate less."""

    def sample(self, event_ms: int, properties: Properties) -> list[Any] | None:
        """The accumulator of one event; None: it doesn't take part."""
        raise NotImplementedError

    def merge(
        self, times: Times, accumulators: Accumulators, at: int, event_ms: int, sample: list[Any]
    ) -> None:
        """Take the accumulator of events that arrived later into ``accumulators[at]``."""
        raise NotImplementedError

    def holds(self, times: Times, accumulators: Accumulators, first: int, end: int, at_ms: int) -> bool:
        """Whether the aggregate of a stretch compares."""
        raise NotImplementedError

    def rolling_holds(self, times: Times, accumulators: Accumulators) -> Callable[[int, int, int], bool]:
        """``holds`` asked again and again of one state: (first, end, at_ms), no index ever going back."""
        return lambda first, end, at_ms: self.holds(times, accumulators, first, end, at_ms)

    def next_change(self, times: Times, first: int, end: int, after_ms: int) -> int:
        """When a stretch may next compare otherwise, though it stays the same; ``FAR_MS``: never."""
        return FAR_MS

    def thin(self, window: Window, times: Times, accumulators: Accumulators, joined: int) -> None:
        """Let go of what can't matter any more. The first ``joined`` have all joined the window, so what of
        them comes later stays longer."""
