"""Sequences: events in order of event time, some choice of which fits the steps (section 5).

Late events may fill a gap or, with ``without``, break a chain, so the events are kept that may still be
part of one, with the steps that they fit; the chains are looked for again when a last step or a late event
comes. What is true at an instant rests only on the times at which chains end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from rules.aggregates.windows import Always, Window, build_window, counting, next_presence_timer
from rules.conditions.chains import Chains
from rules.conditions.patterns import Layout, has_ref, matcher, pattern_updater
from rules.model import language
from rules.state.condition import Condition, Properties, State, Update
from rules.state.row import Row
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

TIDY_EVERY = 8
"""Events that complete nothing are looked through, to let go of some, whenever so many more are kept."""


class SequenceCondition(Condition):
    """State: [times at which chains end, event times ascending (ties: by arrival), which steps each may be as
    bits (the one after the last step's: ``without``), their slots (``rules.conditions.patterns``; only if
    there are any)]. A chain that nothing can undo leaves [[its end]]."""

    def __init__(self, key: int, source: language.Sequence, max_samples: int, calendar: Calendar) -> None:
        self.key = key
        self.source = source  # type: ignore[assignment]
        self.where = None
        self.max_samples = max_samples
        self.dropped_samples = 0
        sources = [step.event for step in source.steps]
        if source.without is not None:
            sources.append(source.without)
        self.names = tuple(sorted({name for each in sources for name in each.names}))
        self.layout = Layout(calendar)
        self.patterns = [self.layout.pattern(each) for each in sources]
        self.chains = Chains(source, self.patterns, self.layout)
        self.window: Window = build_window(source.window, calendar)
        self.final = source.without is None and isinstance(self.window, Always)
        """Once true, always true."""
        self.only_grows = source.without is None and self.window.joins_at_once
        self.last = 1 << (len(source.steps) - 1)
        # An earlier last step is no better than a later one where neither is held against steps before.
        self.latest_last = (
            self.only_grows
            and source.total_ms is None
            and source.steps[-1].within_ms is None
            and not has_ref(source.steps[-1].event.where)
        )

    @property
    def has_timers(self) -> bool:
        return not isinstance(self.window, Always)

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        if not state:
            return False
        first, end = counting(self.window, state[0], at_ms)
        return first < end

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        return next_presence_timer(self.window, state[0], after_ms) if state and self.has_timers else None

    def updater_for(self, name: str) -> Update:
        """How events of a name are taken (``*``: of names that no rule mentions)."""
        return pattern_updater(self, self.take, matcher(self.patterns, name))

    def take(self, state: State, fits: int, event_ms: int, properties: Properties, now_ms: int) -> bool:
        """Take an event with the patterns that it fits, as bits. Whether the value may now change sooner."""
        if self.final and state and state[0]:
            return False
        if fits & self.last and not self.window.admits(event_ms):
            fits ^= self.last
        low = self.window.low(now_ms)
        horizons = self._horizons(low, state[0] if state else [])
        fits = self._needed(fits, event_ms, horizons)
        if not fits:
            return False
        if not state:
            state.extend(([], [], [], []) if self.layout.extractors else ([], [], []))
        _, times, steps = state[:3]
        in_order = not times or event_ms >= times[-1]
        if in_order and fits == 1 and self.chains.earliest_first and any(each & 1 for each in steps):
            return False
        at = bisect_right(times, event_ms)
        times.insert(at, event_ms)
        steps.insert(at, fits)
        if self.layout.extractors:
            state[3].insert(at, self.layout.slots(properties, event_ms))
        changed = False
        look = not in_order or bool(fits & self.last) or len(times) % TIDY_EVERY == 0
        if look:
            changed = self._look(state, now_ms)
        self._prune(state, low, look)
        return changed and not self.only_grows

    def _look(self, state: State, now_ms: int) -> bool:
        """Look for chains; whether others end than before."""
        before = state[0]
        ends = self.chains.find(state)
        if self.source.without is None:  # type: ignore[attr-defined]
            ends = sorted({*before, *ends})
        state[0] = self._thin(ends, now_ms)
        return bool(state[0] != before)

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
        source: language.Sequence = self.source  # type: ignore[assignment]
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

    def _needed(self, fits: int, event_ms: int, horizons: list[int]) -> int:
        if isinstance(self.window, Always) and event_ms > self.window.last_ms:
            return 0
        for at, horizon in enumerate(horizons):
            if event_ms < horizon:
                fits &= ~(1 << at)
        return fits

    def _take_off(self, times: list[int], steps: list[int], horizons: list[int]) -> None:
        """Take steps off events that come too late to be them in a chain that isn't complete yet."""
        for at in range(bisect_left(times, horizons[-2])):
            steps[at] = self._needed(steps[at], times[at], horizons)
        if self.latest_last:
            seen = False
            for at in range(len(steps) - 1, -1, -1):
                if steps[at] & self.last:
                    if seen:
                        steps[at] ^= self.last
                    seen = True

    def _prune(self, state: State, low: int, thoroughly: bool) -> None:
        """Let go of what is in no chain to come."""
        ends = state[0]
        del ends[: bisect_left(ends, low)]
        if self.final and ends:
            state[:] = [ends]
            return
        _, times, steps = state[:3]
        horizons = self._horizons(low, ends)
        if thoroughly:
            self._take_off(times, steps, horizons)
            kept = [at for at, fits in enumerate(steps) if fits]
            if len(kept) < len(steps):
                for part in state[1:]:
                    part[:] = [part[at] for at in kept]
        gone = bisect_left(times, horizons[0])
        over = len(times) - gone - self.max_samples
        if over > 0:
            self.dropped_samples += over
            gone += over
        if gone:
            for part in state[1:]:
                del part[:gone]
        if not times and not ends:
            state.clear()
