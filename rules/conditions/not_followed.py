"""Followed by nothing: an event after which another kind stayed away for a time (section 5)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Final, NamedTuple

from rules.aggregates.windows import Delayed, build_window
from rules.conditions.fits import Fits, has
from rules.conditions.pattern_condition import PatternCondition
from rules.conditions.patterns import Slots
from rules.model import language
from rules.state.condition import Event
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS

EVENT: Final = 0
FOLLOWER: Final = 1


class NotFollowedState(NamedTuple):
    """What is kept of the two kinds of events, times ascending. Slots are stored if references need them."""

    events: list[int]
    """Times of events not followed so far."""
    followers: list[int]
    """Times of followers that may follow a late event."""
    event_slots: list[Slots]
    follower_slots: list[Slots]

    @classmethod
    def copy_of(cls, state: list[Any] | None) -> NotFollowedState:
        """The lists of a stored state: they may change while it stays as it is."""
        parts = [*(state or ()), [], [], [], []][:4]
        return cls(*[[*each] for each in parts])


class NotFollowedCondition(PatternCondition):
    """State: the lists of ``NotFollowedState``."""

    def __init__(self, key: int, source: language.NotFollowed, max_samples: int, calendar: Calendar) -> None:
        super().__init__(key, (source.event, source.follower), max_samples, calendar)
        self.source = source
        self.follows_for_ms = FAR_MS if source.still else source.for_ms
        """How long after an event a follower may come and still undo it."""
        self.bound = self.patterns[FOLLOWER].bound
        self.binds = [self.layout.value_slot(ref.path) for ref in self.layout.bindings]
        self.window: Delayed = Delayed(build_window(source.window, calendar), source.for_ms)

    def add(self, state: list[Any] | None, fits: Fits, event: Event) -> list[Any] | None:
        event_ms, low = event.time_ms, self.window.low(event.now_ms)
        if event_ms < low:
            return state
        kept = NotFollowedState.copy_of(state)
        slots = self.layout.slots(event.properties, event_ms) if self.bound else []
        if has(fits, FOLLOWER):
            self._follow(kept, event_ms, slots)
        opens = has(fits, EVENT) and self.window.admits(event_ms)
        if opens and not self._is_followed(kept, event_ms, slots):
            self._keep(kept.events, kept.event_slots, event_ms, slots)
        if has(fits, FOLLOWER):
            self._keep(kept.followers, kept.follower_slots, event_ms, slots)
            if not self.bound:
                self._thin(kept.followers, bisect_right(kept.followers, event_ms) - 1)
        self._prune(kept.events, kept.event_slots, low)
        self._prune(kept.followers, kept.follower_slots, low)
        if not kept.events and not kept.followers:
            return []
        return [*kept] if self.bound else [kept.events, kept.followers]

    def _follow(self, kept: NotFollowedState, event_ms: int, slots: Slots) -> None:
        """Events that a follower follows are done for; of the same instant, those that came before it."""
        times = kept.events
        first, end = bisect_left(times, event_ms - self.follows_for_ms), bisect_right(times, event_ms)
        for at in range(end - 1, first - 1, -1):
            if self.bound is None:
                del times[at]
            elif self.bound(slots, self._bindings(kept.event_slots[at])):
                del times[at], kept.event_slots[at]

    def _is_followed(self, kept: NotFollowedState, event_ms: int, slots: Slots) -> bool:
        """Whether a follower that came before this late event follows it: not one of the same instant."""
        times = kept.followers
        first, end = bisect_right(times, event_ms), bisect_right(times, event_ms + self.follows_for_ms)
        bound = self.bound
        if bound is None or first == end:
            return first < end
        bindings, followers = self._bindings(slots), kept.follower_slots
        return any(bound(followers[at], bindings) for at in range(first, end))

    def _bindings(self, slots: Slots) -> tuple[object, ...]:
        return tuple([slots[slot] for slot in self.binds])

    def _keep(self, times: list[int], slots_of: list[Slots], event_ms: int, slots: Slots) -> None:
        at = bisect_right(times, event_ms)
        times.insert(at, event_ms)
        if self.bound:
            slots_of.insert(at, slots)

    def _thin(self, followers: list[int], at: int) -> None:
        """Between two followers no further apart than ``for`` a third follows nothing that they don't; with
        ``still`` none before the latest one does."""
        if self.source.still:
            del followers[:-1]
            return
        for middle in (at + 1, at, at - 1):
            inner = 0 < middle < len(followers) - 1
            if inner and followers[middle + 1] - followers[middle - 1] <= self.follows_for_ms:
                del followers[middle]

    def _prune(self, times: list[int], slots_of: list[Slots], low: int) -> None:
        gone = bisect_left(times, low)
        over = len(times) - gone - self.max_samples
        if over > 0:
            self.dropped_samples += over
            gone += over
        del times[:gone], slots_of[:gone]
