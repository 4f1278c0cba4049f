"""Conditions on the number of different values of a property."""

from __future__ import annotations

from hashlib import blake2b

from rules.model import language
from rules.predicates.operators import lookup
from rules.state.condition import (
    Condition,
    Properties,
    State,
    count_bound,
    length_ms_of,
    next_expiry_timer,
    path_of,
)
from rules.state.event_times import by_time, instants, place, reference
from rules.state.row import Row


class DistinctEver(Condition):
    """State: the different values, no more than the comparisons can tell apart."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        return self.compare(len(state) if state else 0)

    def apply(self, row: Row, state: State, event_ms: int, properties: Properties, now_ms: int) -> State:
        value = distinct_value(lookup(properties, self.path))
        if value is not None and len(state) < self.bound and value not in state:
            state.append(value)
        return state


class DistinctWithin(Condition):
    """State: [references ascending by time, the events' values]: the latest values, no more than it takes."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = path_of(source)
        self.length_ms = length_ms_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        refs = state[0]
        return self.compare(len(refs) - place(row, refs, at_ms - self.length_ms))

    def timers_only_later(self, state: State) -> bool:
        return self.at_least

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        return next_expiry_timer(instants(row, state[0]), self.length_ms, after_ms, self.compare)

    def apply(self, row: Row, state: State, event_ms: int, properties: Properties, now_ms: int) -> State:
        value = distinct_value(lookup(properties, self.path))
        horizon = now_ms - self.length_ms
        refs, values = state or _nothing()
        if value is not None and event_ms > horizon:
            ref = reference(row, event_ms)
            if value in values:
                known = values.index(value)
                if row.times[ord(refs[known])] > row.times[ord(ref)]:
                    ref = refs[known]
                refs = refs[:known] + refs[known + 1 :]
                del values[known]
            at = place(row, refs, row.base_ms + row.times[ord(ref)])
            refs = refs[:at] + ref + refs[at:]
            values.insert(at, value)
        gone = max(place(row, refs, horizon), len(refs) - self.bound)
        if gone:
            refs = refs[gone:]
            del values[:gone]
        return [refs, values] if refs else []

    def plain(self, row: Row, state: State) -> State:
        return list(by_time(row, state[0], state[1]))


def _nothing() -> tuple[str, list[str | int | float]]:
    return "", []


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
