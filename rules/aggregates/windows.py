"""Windows (docs/semantics.md, section 5): which event times count at an instant, and when that changes.

Every window lets an event count from one instant (``joins``) to another (``leaves``), and later events never
join or leave before earlier ones. So of ascending event times those that count are always one stretch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Protocol

from rules.model import language
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS


class Window(Protocol):
    """A window at run time. Event times are no later than the clock at which they are asked about."""

    @property
    def joins_at_once(self) -> bool:
        """Whether an event counts from its own time on."""

    def admits(self, event_ms: int) -> bool:
        """Whether an event of this time ever counts."""

    def low(self, at_ms: int) -> int:
        """The earliest event time that counts at ``at_ms``."""

    def high(self, at_ms: int) -> int:
        """The latest event time that counts at ``at_ms``."""

    def joins(self, event_ms: int) -> int:
        """The first instant at which the event counts."""

    def leaves(self, event_ms: int) -> int:
        """The first instant at which it no longer counts; ``FAR_MS``: never."""

    def alike(self, event_ms: int) -> tuple[int, int]:
        """(first, last) of the event times that join and leave together with this one."""


@dataclass(frozen=True, slots=True)
class Always:
    """Between two fixed instants, or for ever: time takes nothing in or out."""

    first_ms: int = -FAR_MS
    last_ms: int = FAR_MS

    @property
    def joins_at_once(self) -> bool:
        return True

    def admits(self, event_ms: int) -> bool:
        return self.first_ms <= event_ms <= self.last_ms

    def low(self, at_ms: int) -> int:
        return self.first_ms

    def high(self, at_ms: int) -> int:
        return self.last_ms

    def joins(self, event_ms: int) -> int:
        return event_ms

    def leaves(self, event_ms: int) -> int:
        return FAR_MS

    def alike(self, event_ms: int) -> tuple[int, int]:
        return self.first_ms, self.last_ms


@dataclass(frozen=True, slots=True)
class Sliding:
    """``near_ms`` to ``far_ms`` ago: ``t - far < e <= t - near``; ``within`` has 0 for near."""

    far_ms: int
    near_ms: int = 0

    @property
    def joins_at_once(self) -> bool:
        return self.near_ms == 0

    def admits(self, event_ms: int) -> bool:
        return True

    def low(self, at_ms: int) -> int:
        return at_ms - self.far_ms + 1

    def high(self, at_ms: int) -> int:
        return at_ms - self.near_ms

    def joins(self, event_ms: int) -> int:
        return event_ms + self.near_ms

    def leaves(self, event_ms: int) -> int:
        return event_ms + self.far_ms

    def alike(self, event_ms: int) -> tuple[int, int]:
        return event_ms, event_ms


@dataclass(frozen=True, slots=True)
class Periods:
    """``length`` calendar periods that end with the one ``ago`` before that of the instant."""

    calendar: Calendar
    unit: language.PeriodUnit
    length: int
    ago: int

    @property
    def joins_at_once(self) -> bool:
        return self.ago == 0

    def admits(self, event_ms: int) -> bool:
        return True

    def low(self, at_ms: int) -> int:
        return self._start(at_ms, 1 - self.ago - self.length)

    def high(self, at_ms: int) -> int:
        return self._start(at_ms, 1 - self.ago) - 1

    def _start(self, at_ms: int, later: int) -> int:
        """The beginning of the period that comes so many after that of an instant."""
        return self.calendar.start(self.unit, self.calendar.period(self.unit, at_ms) + later)

    def joins(self, event_ms: int) -> int:
        if self.ago == 0:
            return event_ms
        return self._start(event_ms, self.ago)

    def leaves(self, event_ms: int) -> int:
        return self._start(event_ms, self.ago + self.length)

    def alike(self, event_ms: int) -> tuple[int, int]:
        start, end, _ = self.calendar.bounds(self.unit, event_ms)
        return start, end - 1


@dataclass(frozen=True, slots=True)
class Delayed:
    """A window whose events count no earlier than ``delay_ms`` after their time."""

    window: Window
    delay_ms: int

    @property
    def joins_at_once(self) -> bool:
        return False

    def admits(self, event_ms: int) -> bool:
        return self.window.admits(event_ms)

    def low(self, at_ms: int) -> int:
        return self.window.low(at_ms)

    def high(self, at_ms: int) -> int:
        return min(self.window.high(at_ms), at_ms - self.delay_ms)

    def joins(self, event_ms: int) -> int:
        return max(self.window.joins(event_ms), event_ms + self.delay_ms)

    def leaves(self, event_ms: int) -> int:
        return self.window.leaves(event_ms)

    def alike(self, event_ms: int) -> tuple[int, int]:
        return event_ms, event_ms


def build_window(source: language.Window, calendar: Calendar) -> Window:
    """The window of a condition; ``SinceEntry`` is ``rules.conditions.nested``'s."""
    match source:
        case None:
            return Always()
        case language.FromTo(from_ms=first, to_ms=end):
            return Always(-FAR_MS if first is None else first, FAR_MS if end is None else end - 1)
        case language.Within(length_ms=length):
            return Sliding(length)
        case language.BetweenAgo(far_ms=far, near_ms=near):
            return Sliding(far, near)
        case language.Period(unit=unit, length=length, ago=ago):
            return Periods(calendar, unit, length, ago)
        case language.SinceEntry():
            raise TypeError("since entry depends on the user, not on the instant alone")


def counting(window: Window, times: list[int], at_ms: int) -> tuple[int, int]:
    """(first, end) of the stretch of ascending ``times`` that counts at ``at_ms``."""
    first = bisect_left(times, window.low(at_ms))
    return first, max(first, bisect_right(times, window.high(at_ms)))


def next_change(window: Window, times: list[int], after_ms: int) -> int:
    """The first instant after ``after_ms`` at which another stretch of ``times`` counts, or ``FAR_MS``."""
    change = FAR_MS
    first = bisect_left(times, window.low(after_ms))
    if first < len(times):
        change = window.leaves(times[first])
    end = bisect_right(times, window.high(after_ms))
    if end < len(times):
        change = min(change, window.joins(times[end]))
    return change if change > after_ms else FAR_MS  # calendars end with the years that can be written


def next_presence_timer(window: Window, times: list[int], after_ms: int) -> int | None:
    """When "any of ``times`` counts" next changes."""
    first, end = counting(window, times, after_ms)
    if first == end:
        ever = (each for each in times[end:] if window.joins(each) < window.leaves(each))
        following = next(ever, None)
        timer_ms = FAR_MS if following is None else window.joins(following)
        return timer_ms if after_ms < timer_ms < FAR_MS else None
    gone_ms = window.leaves(times[end - 1])
    for each in times[end:]:
        if window.joins(each) > gone_ms:
            break
        gone_ms = max(gone_ms, window.leaves(each))
    return gone_ms if after_ms < gone_ms < FAR_MS else None
