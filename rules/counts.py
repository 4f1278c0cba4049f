"""Conditions on the number of events, for ever and in a sliding window."""

from __future__ import annotations

from bisect import bisect_right, insort

from rules import model
from rules.condition import (
    CHANGED,
    IGNORED,
    KEPT,
    Condition,
    Properties,
    State,
    count_bound,
    length_ms_of,
    next_expiry_flip,
)


class CountEver(Condition):
    """State: [number of events], counted no further than the comparisons can tell apart."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(state[0] if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        if not state:
            state.append(1)
        elif state[0] < self.bound:
            state[0] += 1

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        state = states.get(self.key)
        if state is None:
            states[self.key] = [1]
            return CHANGED if self.compare(1) != self.compare(0) else KEPT
        count = state[0]
        if count >= self.bound:
            return IGNORED
        state[0] = count + 1
        return CHANGED if self.compare(count + 1) != self.compare(count) else KEPT


class CountWithin(Condition):
    """State: the latest event times in the window, ascending, no more than the comparisons need."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.length_ms = length_ms_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        return self.compare(len(state) - bisect_right(state, at_ms - self.length_ms))

    def next_flip(self, state: State, after_ms: int) -> int | None:
        return next_expiry_flip(state, self.length_ms, after_ms, self.compare)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        horizon = now_ms - self.length_ms
        if event_ms > horizon:
            if not state or event_ms >= state[-1]:
                state.append(event_ms)
            else:
                insort(state, event_ms)
        gone = bisect_right(state, horizon)
        if len(state) - gone > self.bound:
            gone = len(state) - self.bound
        if gone:
            del state[:gone]


class CountAtLeastWithin(CountWithin):
    """``count >= n`` in a window, the commonest kind: an event can only make it true or keep it so."""

    def value(self, state: State | None, at_ms: int) -> bool:
        bound = self.bound
        return state is not None and len(state) >= bound and state[-bound] > at_ms - self.length_ms

    def next_flip(self, state: State, after_ms: int) -> int | None:
        if len(state) < self.bound:
            return None
        flip: int = state[-self.bound] + self.length_ms
        return flip if flip > after_ms else None

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        length_ms = self.length_ms
        if event_ms <= now_ms - length_ms:
            return IGNORED
        state = states.get(self.key)
        bound = self.bound
        if state is None:
            states[self.key] = [event_ms]
            return CHANGED if bound == 1 else KEPT
        size = len(state)
        before = size >= bound and state[-bound] > decided_ms - length_ms
        if event_ms >= state[-1]:
            state.append(event_ms)
        else:
            insort(state, event_ms)
        if size >= bound:
            del state[0]
        if before:
            # It stays true, and its flip moves later: what the due index has is still a lower bound.
            # (At ``now_ms`` itself it may have run out: then the flip due now decides, not this event.)
            return KEPT
        return CHANGED if len(state) >= bound and state[-bound] > now_ms - length_ms else KEPT
