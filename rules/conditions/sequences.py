"""Sequences: events in order of event time, some choice of which fits the steps (section 5).

Late events may fill a gap or, with ``without``, break a chain, so the events are kept that may still be
part of one, with the steps that they fit; the chains are looked for again when a last step or a late event
comes. What is true at an instant rests only on the times at which chains end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Final, NamedTuple

from rules.aggregates.windows import Always, Window, build_window, counting
from rules.conditions.chains import Chains
from rules.conditions.fits import NO_FITS, Fits, has, less, numbers, only
from rules.conditions.pattern_condition import PatternCondition
from rules.conditions.patterns import Slots, has_ref
from rules.model import language
from rules.state.condition import Event
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

TIDY_EVERY: Final = 8
"""Events that complete nothing are looked through, to let go of some, whenever so many more are kept."""

FIRST: Final = only(0)
"""What an event fits that can be the first step and nothing else."""


class SequenceState(NamedTuple):
    """What is kept for a sequence. Of a chain that nothing can undo the end is stored alone."""

    ends: list[int]
    """Times at which chains end, ascending."""
    times: list[int]
    """Event times, ascending; of the same time in order of arrival."""
    steps: list[Fits]
    """Which steps each event may be; the number after the last step's is that of ``without``."""
    slots: list[Slots]
    """Each event's slots (``rules.conditions.patterns``); stored only if the sequence has any."""

    @classmethod
    def copy_of(cls, state: list[Any] | None) -> SequenceState:
        """The lists of a stored state: they may change while it stays as it is."""
        parts = [*(state or ()), [], [], [], []][:4]
        return cls(*[[*each] for each in parts])

    @property
    def by_event(self) -> tuple[list[Any], ...]:
        """The lists that have one item for each event."""
        return self.times, self.steps, self.slots


class SequenceCondition(PatternCondition):
    """State: the lists of ``SequenceState``."""

    def __init__(self, key: int, source: language.Sequence, max_samples: int, calendar: Calendar) -> None:
        patterns = [step.event for step in source.steps]
        if source.without is not None:
            patterns.append(source.without)
        super().__init__(key, patterns, max_samples, calendar)
        self.source = source
        self.chains = Chains(source, self.patterns, self.layout)
        self.window: Window = build_window(source.window, calendar)
        self.has_timers = not isinstance(self.window, Always)
        self.final = source.without is None and isinstance(self.window, Always)
        """Once true, always true."""
        self.only_grows = source.without is None and self.window.joins_at_once
        self.last = len(source.steps) - 1
        # An earlier last step is no better than a later one where neither is held against steps before.
        self.latest_last = (
            self.only_grows
            and source.total_ms is None
            and source.steps[-1].within_ms is None
            and not has_ref(source.steps[-1].event.where)
        )

    def add(self, state: list[Any] | None, fits: Fits, event: Event) -> list[Any] | None:
        kept = SequenceState.copy_of(state)
        if self.final and kept.ends:
            return state
        event_ms, now_ms = event.time_ms, event.now_ms
        if not self.window.admits(event_ms):
            fits = less(fits, self.last)
        low = self.window.low(now_ms)
        fits = self._needed(fits, event_ms, self._horizons(low, kept.ends))
        if not fits:
            return state
        in_order = not kept.times or event_ms >= kept.times[-1]
        begins_again = in_order and fits == FIRST and self.chains.earliest_first
        if begins_again and any(has(each, 0) for each in kept.steps):
            return state
        at = bisect_right(kept.times, event_ms)
        kept.times.insert(at, event_ms)
        kept.steps.insert(at, fits)
        if self.layout.extractors:
            kept.slots.insert(at, self.layout.slots(event.properties, event_ms))
        look = not in_order or has(fits, self.last) or len(kept.times) % TIDY_EVERY == 0
        if look:
            self._look(kept, now_ms)
        self._prune(kept, low, look)
        return self._stored(kept)

    def _stored(self, kept: SequenceState) -> list[Any]:
        """As the row has it; empty: nothing."""
        if self.final and kept.ends:
            return [kept.ends]
        if not kept.times and not kept.ends:
            return []
        return [*kept] if self.layout.extractors else [*kept[:-1]]

    def _look(self, kept: SequenceState, now_ms: int) -> None:
        """Look for chains."""
        ends = self.chains.find(kept.times, kept.steps, kept.slots)
        if self.source.without is None:
            ends = sorted({*kept.ends, *ends})
        kept.ends[:] = self._thin(ends, now_ms)

    def _thin(self, ends: list[int], now_ms: int) -> list[int]:
        """One end of those that count at the same instants, and of those that count now the latest."""
        window = self.window
        first, joined = counting(window, ends, now_ms)
        kept = ends[joined - 1 : joined] if joined > first else []
        for end in ends[joined:]:
            if not kept or kept[-1] < window.alike(end)[0]:
                kept.append(end)
        return kept

    def _horizons(self, low: int, ends: list[int]) -> list[int]:
        """Per step, the earliest time of an event that may still be one; the last is that of ``without``."""
        source = self.source
        latest = max(low, ends[-1] + 1) if ends and self.only_grows else low
        horizon = latest
        horizons = [horizon]
        for step in reversed(source.steps[1:]):
            horizon = -FAR_MS if step.within_ms is None else horizon - step.within_ms
            if source.total_ms is not None:
                horizon = max(horizon, latest - source.total_ms)
            horizons.append(max(horizon, -FAR_MS))
        horizons.reverse()
        return [*horizons, horizons[0]]

    def _needed(self, fits: Fits, event_ms: int, horizons: list[int]) -> Fits:
        if isinstance(self.window, Always) and event_ms > self.window.last_ms:
            return NO_FITS
        for number, horizon in enumerate(horizons):
            if event_ms < horizon:
                fits = less(fits, number)
        return fits

    def _take_off(self, times: list[int], steps: list[Fits], horizons: list[int]) -> None:
        """Take steps off events that come too late to be them in a chain that isn't complete yet."""
        for at in range(bisect_left(times, horizons[-2])):
            steps[at] = self._needed(steps[at], times[at], horizons)
        if self.latest_last:
            seen = False
            for at in range(len(steps) - 1, -1, -1):
                if has(steps[at], self.last):
                    if seen:
                        steps[at] = less(steps[at], self.last)
                    seen = True

    def _prune(self, kept: SequenceState, low: int, thoroughly: bool) -> None:
        """Let go of what is in no chain to come."""
        del kept.ends[: bisect_left(kept.ends, low)]
        if self.final and kept.ends:
            return
        horizons = self._horizons(low, kept.ends)
        if thoroughly:
            self._take_off(kept.times, kept.steps, horizons)
            needed = [at for at, fits in enumerate(kept.steps) if fits]
            if len(needed) < len(kept.steps):
                for part in kept.by_event:
                    part[:] = [part[at] for at in needed] if part else []
        gone = bisect_left(kept.times, horizons[0])
        over = len(kept.times) - gone - self.max_samples
        if over > 0:
            self.dropped_samples += over
            gone += over
        if gone:
            for part in kept.by_event:
                del part[:gone]

    def steps_of(self, fits: Fits) -> list[int]:
        """The numbers, from 1, of the steps that an event may be; 0 for the event of ``without``."""
        return [0 if number > self.last else number + 1 for number in numbers(fits)]
