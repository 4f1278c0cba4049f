"""Conditions on the number of different values of a property."""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import Any, TypeAlias

from rules.aggregates.aggregate_condition import AggregateCondition, WithinCondition, next_expiry
from rules.state.condition import Event
from rules.state.event_times import EventTimes, instants
from rules.state.row import Row, State

Value: TypeAlias = str | int | float


class DistinctEver(AggregateCondition[list[Value]]):
    """State: the different values, no more than the comparisons can tell apart."""

    def value(self, row: Row, state: list[Value] | None, at_ms: int) -> bool:
        return self.compare(len(state or ()))

    def add(self, row: Row, state: list[Value] | None, event: Event) -> list[Value] | None:
        values = state or []
        value = distinct_value(self.get(event.properties))
        if value is None or value in values or len(values) >= self.bound:
            return state
        return [*values, value]


class DistinctWithin(WithinCondition[list[Any]]):
    """State: [``EventTimes``, the events' values]: the latest values, no more than it takes."""

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        times = instants(row, state[0] if state else "")
        return self.compare(len(times) - bisect_right(times, at_ms - self.length_ms))

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        times = instants(row, state[0])
        return next_expiry(times, self.length_ms, after_ms, lambda gone: self.compare(len(times) - gone))

    def add(self, row: Row, state: list[Any] | None, event: Event) -> list[Any]:
        refs, values = state or ("", [])
        times, values = EventTimes(row, refs), [*values]
        horizon = event.now_ms - self.length_ms
        gone = times.up_to(horizon)
        times.drop_first(gone)
        del values[:gone]
        value = distinct_value(self.get(event.properties))
        if value is not None and event.time_ms > horizon:
            self._put(times, values, event.time_ms, value)
        return [times.refs, values] if values else []

    def _put(self, times: EventTimes, values: list[Value], event_ms: int, value: Value) -> None:
        """Keep a value at the latest time at which it came."""
        if value in values:
            known = values.index(value)
            if event_ms <= times.ms[known]:
                return
            times.remove(known)
            del values[known]
        elif not times.need(event_ms, self.bound):
            return
        at = times.up_to(event_ms)
        times.insert(at, event_ms)
        values.insert(at, value)
        over = max(0, len(values) - self.bound)
        times.drop_first(over)
        del values[:over]

    def plain(self, row: Row, state: list[Any]) -> State:
        refs, values = state
        return list(EventTimes(row, refs).grouped(values))


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
