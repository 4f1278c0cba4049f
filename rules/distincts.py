"""Conditions on the number of different values of a property."""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b

from rules import model
from rules.condition import (
    Condition,
    Properties,
    State,
    count_bound,
    length_ms_of,
    next_expiry_flip,
    path_of,
)
from rules.operators import lookup


class DistinctEver(Condition):
    """State: the different values, no more than the comparisons can tell apart."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(len(state) if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        value = distinct_value(lookup(properties, self.path))
        if value is not None and len(state) < self.bound and value not in state:
            state.append(value)


class DistinctWithin(Condition):
    """State: [latest times ascending, their values]: the most recent values the comparisons need."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)
        self.length_ms = length_ms_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        times = state[0]
        return self.compare(len(times) - bisect_right(times, at_ms - self.length_ms))

    def flips_only_later(self, state: State) -> bool:
        return self.at_least

    def next_flip(self, state: State, after_ms: int) -> int | None:
        return next_expiry_flip(state[0], self.length_ms, after_ms, self.compare)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        value = distinct_value(lookup(properties, self.path))
        horizon = now_ms - self.length_ms
        if value is not None and event_ms > horizon:
            if not state:
                state.extend(([], []))
            times, values = state
            if value in values:
                known = values.index(value)
                event_ms = max(event_ms, times[known])
                del times[known], values[known]
            at = bisect_right(times, event_ms)
            times.insert(at, event_ms)
            values.insert(at, value)
        if not state:
            return
        times, values = state
        gone = max(bisect_right(times, horizon), len(times) - self.bound)
        if gone > 0:
            del times[:gone], values[:gone]
            if not times:
                state.clear()


def distinct_value(value: object) -> str | int | float | None:
    """What ``distinct`` tells values apart by: strings, numbers and booleans; None for all else."""
    if type(value) is str:
        if len(value) > 64 or value.startswith("\0"):
            return "\0" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return value
    if type(value) is bool:
        return "\0true" if value else "\0false"
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and not -(2**63) <= value < 2**64:  # too long to be stored as it is
        return "\0" + blake2b(b"%d" % value, digest_size=16).hexdigest()
    if type(value) is int or type(value) is float:
        return value
    return None
