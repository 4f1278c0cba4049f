"""Conditions on the number of events, for ever and in a sliding window."""

from __future__ import annotations

from bisect import bisect_right

from rules.aggregates.aggregate_condition import AggregateCondition, WithinCondition, next_expiry
from rules.model import language
from rules.predicates.comparisons import is_count_at_least
from rules.state.condition import Event
from rules.state.event_times import EventTimes, instants
from rules.state.row import Row, State
from rules.time.calendar import Calendar


class CountEver(AggregateCondition[list[int]]):
    """State: [number of events], counted no further than the comparisons can tell apart."""

    def value(self, row: Row, state: list[int] | None, at_ms: int) -> bool:
        return self.compare(state[0] if state else 0)

    def add(self, row: Row, state: list[int] | None, event: Event) -> list[int]:
        count = state[0] if state else 0
        return [min(count + 1, self.bound)]


class CountWithin(WithinCondition[str]):
    """State: ``EventTimes`` of the latest events in the window, no more than it takes.

    Of ``count >= n`` they stay until later ones take their places: such a value can't become true by time.
    """

    def __init__(
        self, key: int, source: language.EventCondition, max_samples: int, calendar: Calendar
    ) -> None:
        super().__init__(key, source, max_samples, calendar)
        self.keeps_expired = is_count_at_least(source.aggregate.comparisons)

    def value(self, row: Row, state: str | None, at_ms: int) -> bool:
        times = instants(row, state or "")
        return self.compare(len(times) - bisect_right(times, at_ms - self.length_ms))

    def next_timer(self, row: Row, state: str, after_ms: int) -> int | None:
        times = instants(row, state)
        return next_expiry(times, self.length_ms, after_ms, lambda gone: self.compare(len(times) - gone))

    def add(self, row: Row, state: str | None, event: Event) -> str:
        times = EventTimes(row, state or "")
        horizon = event.now_ms - self.length_ms
        if not self.keeps_expired:
            times.drop_first(times.up_to(horizon))
        if event.time_ms > horizon and times.need(event.time_ms, self.bound):
            times.insert(times.up_to(event.time_ms), event.time_ms)
            times.drop_first(len(times.ms) - self.bound)
        return times.refs

    def plain(self, row: Row, state: str) -> State:
        times, events = EventTimes(row, state).grouped(state)
        return [times, [[len(each)] for each in events]]
