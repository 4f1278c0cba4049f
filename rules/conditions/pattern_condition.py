"""What the conditions have in common whose events may fit several patterns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rules.aggregates.windows import Window, counting, next_presence_timer
from rules.conditions.fits import NO_FITS, Fits, only
from rules.conditions.patterns import Layout
from rules.model import language
from rules.state.condition import Event
from rules.state.row import Row, State
from rules.time.calendar import Calendar


class PatternCondition:
    """Is true while one of the times in its state's first list counts in its window.

    Kinds say in ``add`` what they keep of an event that fits some of their patterns.
    """

    def __init__(
        self, key: int, sources: Iterable[language.EventPattern], max_samples: int, calendar: Calendar
    ) -> None:
        self.key = key
        self.max_samples = max_samples
        self.dropped_samples = 0
        self.layout = Layout(calendar)
        self.patterns = [self.layout.pattern(each) for each in sources]
        self.names = tuple(sorted({name for each in self.patterns for name in each.names}))

    window: Window
    has_timers = True

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        if not state:
            return False
        first, end = counting(self.window, state[0], at_ms)
        return first < end

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        return next_presence_timer(self.window, state[0], after_ms) if state and self.has_timers else None

    def plain(self, row: Row, state: list[Any]) -> State:
        return state

    def take(self, row: Row, state: list[Any] | None, event: Event) -> list[Any] | None:
        fits = self.fits(event)
        return state if fits == NO_FITS else self.add(state, fits, event)

    def fits(self, event: Event) -> Fits:
        """The patterns that an event fits, less what they refer to other events for."""
        fits = NO_FITS
        for number, each in enumerate(self.patterns):
            if each.takes(event.name) and (
                each.static is None or each.static(event.properties, event.time_ms)
            ):
                fits |= only(number)
        return fits

    def add(self, state: list[Any] | None, fits: Fits, event: Event) -> list[Any] | None:
        """The state with an event that fits some patterns; empty: nothing is kept."""
        raise NotImplementedError
