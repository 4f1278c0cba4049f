"""What the conditions have in common whose events may fit several patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from rules.aggregates.windows import Window, counting, next_presence_timer
from rules.conditions.fits import NO_FITS, Fits, only
from rules.conditions.patterns import Layout, Pattern
from rules.model import language
from rules.state.condition import Properties, Update
from rules.state.row import Row, State
from rules.time.calendar import Calendar

Match: TypeAlias = Callable[[Mapping[str, object], int], Fits]
"""The patterns that an event fits, by its properties and time."""


class PatternCondition:
    """Is true while one of the times in its state's first list counts in its window.

    Kinds say in ``take`` what they keep of an event that fits some of their patterns.
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
        return deepcopy(state)

    def take(self, state: list[Any], fits: Fits, event_ms: int, properties: Properties, now_ms: int) -> bool:
        """Take an event with the patterns that it fits. Whether the value may now change sooner.

        The state is changed in place; empty: nothing is kept.
        """
        raise NotImplementedError

    def updater_for(self, name: str) -> Update:
        key, value, take = self.key, self.value, self.take
        match = matcher(self.patterns, name)

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            fits = match(properties, event_ms)
            if not fits:
                return False
            states = row.conditions
            stored: list[Any] | None = states.get(key)
            before = value(row, stored, decided_ms)
            state = [] if stored is None else stored
            sooner = take(state, fits, event_ms, properties, now_ms)
            if state:
                states[key] = state
            else:
                states.pop(key, None)
            if sooner or value(row, state, now_ms) != before:
                touched.append(key)
            return True

        return update


def matcher(patterns: Sequence[Pattern], name: str) -> Match:
    """Which patterns the events of one name fit, less what they refer to other events for."""
    checks = [(only(number), each.static) for number, each in enumerate(patterns) if each.takes(name)]
    always = sum(bit for bit, check in checks if check is None)
    tested = [(bit, check) for bit, check in checks if check is not None]

    def match(properties: Mapping[str, object], event_ms: int) -> Fits:
        fits = NO_FITS | always
        for bit, check in tested:
            if check(properties, event_ms):
                fits |= bit
        return fits

    return match
