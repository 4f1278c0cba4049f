"""Followed by nothing: an event after which another kind stayed away for a time (section 5)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from rules.aggregates.windows import Delayed, build_window, counting, next_presence_timer
from rules.conditions.patterns import Layout, Slots, matcher, pattern_updater
from rules.model import language
from rules.state.condition import Condition, Properties, State, Update
from rules.state.row import Row
from rules.time.calendar import Calendar

EVENT, FOLLOWER = 1, 2


class NotFollowedCondition(Condition):
    """State: [times of events not followed so far, times of followers that may follow a late event], both
    ascending; with references then the slots of either."""

    def __init__(self, key: int, source: language.NotFollowed, max_samples: int, calendar: Calendar) -> None:
        self.key = key
        self.source = source  # type: ignore[assignment]
        self.where = None
        self.max_samples = max_samples
        self.dropped_samples = 0
        self.for_ms = source.for_ms
        self.names = tuple(sorted({*source.event.names, *source.follower.names}))
        self.layout = Layout(calendar)
        self.patterns = [self.layout.pattern(source.event), self.layout.pattern(source.follower)]
        self.bound = self.patterns[1].bound
        self.binds = [self.layout.value_slot(ref.path) for ref in self.layout.bindings]
        self.window = Delayed(build_window(source.window, calendar), source.for_ms)

    @property
    def has_timers(self) -> bool:
        return True

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        if not state:
            return False
        first, end = counting(self.window, state[0], at_ms)
        return first < end

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        return next_presence_timer(self.window, state[0], after_ms) if state else None

    def updater_for(self, name: str) -> Update:
        """How events of a name are taken (``*``: of names that no rule mentions)."""
        return pattern_updater(self, self.take, matcher(self.patterns, name))

    def take(self, state: State, fits: int, event_ms: int, properties: Properties, now_ms: int) -> bool:
        """Take an event that is ``EVENT``, ``FOLLOWER`` or both. Whether the value may now change sooner."""
        low = self.window.low(now_ms)
        if event_ms < low:
            return False
        if not state:
            state.extend(([], [], [], []) if self.bound else ([], []))
        slots = self.layout.slots(properties, event_ms) if self.bound else []
        changed = False
        if fits & FOLLOWER:
            changed = self._follow(state, event_ms, slots)
        if fits & EVENT and self.window.admits(event_ms) and not self._is_followed(state, event_ms, slots):
            changed = True
            self._keep(state, 0, event_ms, slots)
        if fits & FOLLOWER:
            self._keep(state, 1, event_ms, slots)
            if not self.bound:
                self._thin(state[1], bisect_right(state[1], event_ms) - 1)
        self._prune(state, low)
        return changed

    def _follow(self, state: State, event_ms: int, slots: Slots) -> bool:
        """Events that a follower follows are done for; of the same instant, those that came before it."""
        times = state[0]
        first, end = bisect_left(times, event_ms - self.for_ms), bisect_right(times, event_ms)
        bound = self.bound
        if bound is None:
            del times[first:end]
            return first < end
        events = state[2]
        followed = [at for at in range(first, end) if bound(slots, self._bindings(events[at]))]
        for at in reversed(followed):
            del times[at], events[at]
        return bool(followed)

    def _is_followed(self, state: State, event_ms: int, slots: Slots) -> bool:
        """Whether a follower that came before this late event follows it: not one of the same instant."""
        times = state[1]
        first, end = bisect_right(times, event_ms), bisect_right(times, event_ms + self.for_ms)
        bound = self.bound
        if bound is None or first == end:
            return first < end
        bindings, followers = self._bindings(slots), state[3]
        return any(bound(followers[at], bindings) for at in range(first, end))

    def _bindings(self, slots: Slots) -> tuple[object, ...]:
        return tuple([slots[slot] for slot in self.binds])

    def _keep(self, state: State, part: int, event_ms: int, slots: Slots) -> None:
        at = bisect_right(state[part], event_ms)
        state[part].insert(at, event_ms)
        if self.bound:
            state[part + 2].insert(at, slots)

    def _thin(self, followers: list[int], at: int) -> None:
        """Between two followers no further apart than ``for`` a third follows nothing that they don't."""
        for middle in (at + 1, at, at - 1):
            inner = 0 < middle < len(followers) - 1
            if inner and followers[middle + 1] - followers[middle - 1] <= self.for_ms:
                del followers[middle]

    def _prune(self, state: State, low: int) -> None:
        for part in (0, 1):
            times = state[part]
            gone = bisect_left(times, low)
            over = len(times) - gone - self.max_samples
            if over > 0:
                self.dropped_samples += over
                gone += over
            if gone:
                del times[:gone]
                if self.bound:
                    del state[part + 2][:gone]
        if not state[0] and not state[1]:
            state.clear()
