"""Conditions on the number of different values of a property."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, TypeAlias

from rules.aggregates.aggregate_condition import (
    AggregateCondition,
    length_ms_of,
    next_expiry_timer,
    path_of,
)
from rules.model import language
from rules.predicates.comparisons import count_bound
from rules.predicates.paths import getter_of
from rules.state.condition import Properties
from rules.state.event_times import by_time, instants, place, reference, time_of
from rules.state.row import Row, State

Value: TypeAlias = str | int | float


class DistinctEver(AggregateCondition[list[Value]]):
    """State: the different values, no more than the comparisons can tell apart."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.get = getter_of(path_of(source))
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: list[Value] | None, at_ms: int) -> bool:
        return self.compare(len(state) if state else 0)

    def apply(
        self, row: Row, state: list[Value] | None, event_ms: int, properties: Properties, now_ms: int
    ) -> list[Value]:
        state = [] if state is None else state
        value = distinct_value(self.get(properties))
        if value is not None and len(state) < self.bound and value not in state:
            state.append(value)
        return state


class DistinctWithin(AggregateCondition[list[Any]]):
    """State: [references ascending by time, the events' values]: the latest values, no more than it takes."""

    has_timers = True

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.get = getter_of(path_of(source))
        self.length_ms = length_ms_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        refs, _ = state
        return self.compare(len(refs) - place(row, refs, at_ms - self.length_ms))

    def timers_only_later(self, state: list[Any] | None) -> bool:
        return self.at_least

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        refs, _ = state
        return next_expiry_timer(instants(row, refs), self.length_ms, after_ms, self.compare)

    def apply(
        self, row: Row, state: list[Any] | None, event_ms: int, properties: Properties, now_ms: int
    ) -> list[Any]:
        value = distinct_value(self.get(properties))
        horizon = now_ms - self.length_ms
        refs, values = state or _nothing()
        if value is not None and event_ms > horizon:
            ref = reference(row, event_ms)
            if value in values:
                known = values.index(value)
                if time_of(row, refs[known]) > event_ms:
                    ref = refs[known]
                refs = refs[:known] + refs[known + 1 :]
                del values[known]
            at = place(row, refs, time_of(row, ref))
            refs = refs[:at] + ref + refs[at:]
            values.insert(at, value)
        gone = max(place(row, refs, horizon), len(refs) - self.bound)
        if gone:
            refs = refs[gone:]
            del values[:gone]
        return [refs, values] if refs else []

    def plain(self, row: Row, state: list[Any]) -> State:
        refs, values = state
        return list(by_time(row, refs, values))


def _nothing() -> tuple[str, list[Value]]:
    return "", []


def distinct_value(value: object) -> Value | None:
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
