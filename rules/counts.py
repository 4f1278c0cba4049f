"""Conditions on the number of events, for ever and in a sliding window."""

from __future__ import annotations

from bisect import bisect_right, insort

from rules import model
from rules.condition import (
    Condition,
    Observe,
    Properties,
    State,
    count_bound,
    length_ms_of,
    next_expiry_flip,
)
from rules.row import Row


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

    def observer(self) -> Observe:
        key, where, bound, compare = self.key, self.where, self.bound, self.compare

        def observe(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            states = row.conditions
            state = states.get(key)
            if state is None:
                state = states[key] = [0]
            count = state[0]
            if count >= bound:
                return False
            state[0] = count + 1
            if compare(count + 1) != compare(count):
                touched.append(key)
            return True

        return observe


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

    def observer(self) -> Observe:
        key, where = self.key, self.where
        bound, length_ms = self.bound, self.length_ms

        def observe(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            horizon = now_ms - length_ms
            if event_ms <= horizon:
                return False
            states = row.conditions
            state = states.get(key)
            if state is None:
                states[key] = [event_ms]
                if bound == 1:
                    touched.append(key)
                return True
            if event_ms >= state[-1]:
                state.append(event_ms)
            else:
                insort(state, event_ms)
            size = len(state)
            if size < bound:
                return True
            if size > bound and state.pop(0) > decided_ms - length_ms:
                # It stays true, and its flip moves later: what the due index has is still a lower bound.
                # (At ``now_ms`` itself it may have run out: then the flip due now decides, not this event.)
                return True
            if state[0] > horizon:
                touched.append(key)
            return True

        return observe
