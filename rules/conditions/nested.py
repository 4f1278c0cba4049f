"""Audiences in audiences: being in one, for a time, and events since the latest entry (sections 4 and 5).

They read the memberships of the row, so whoever decides must have decided the other audience first, look
again at those that ask about it when its membership changes, and at when they change next by time.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from rules.aggregates.accumulator import Accumulator, Series
from rules.aggregates.aggregate_condition import AggregateCondition
from rules.aggregates.of_events import Since
from rules.model import language
from rules.state.condition import Event
from rules.state.row import Row
from rules.time.calendar import Calendar
from rules.time.instants import FAR_MS


@dataclass(frozen=True, slots=True)
class MembershipRule:
    """Whether the user is in another audience, and has been for ``for_ms`` without a break."""

    audience: int
    """Its key."""
    for_ms: int

    def truth(self, row: Row, at_ms: int) -> bool:
        return at_ms >= self._begins_ms(row)

    def change(self, row: Row, after_ms: int) -> int:
        begins_ms = self._begins_ms(row)
        return begins_ms if begins_ms > after_ms else FAR_MS

    def _begins_ms(self, row: Row) -> int:
        """When it is or will be true; ``FAR_MS``: the user isn't in."""
        entered_ms = entered_at_ms(row, self.audience)
        return FAR_MS if entered_ms is None else entered_ms + self.for_ms


def entered_at_ms(row: Row, audience: int) -> int | None:
    """When the stay in an audience began; None: the user isn't in."""
    membership = row.audiences.get(audience)
    return None if membership is None or not membership.inside else row.since_ms(membership)


class SinceEntryCondition(AggregateCondition[list[Any]]):
    """Any aggregate of the events since the latest entry into an audience that the user is in.

    State: the parts of a ``Series`` of at most two: one accumulator for all earlier events, one for those at
    the latest clock. These count in a new stay, too, if the user leaves and enters at this very instant.
    """

    def __init__(
        self,
        key: int,
        source: language.EventCondition,
        max_samples: int,
        calendar: Calendar,
        audience: int,
        accumulator: Accumulator,
        strictly: bool = False,
    ) -> None:
        """``audience`` is the key of the one entered. ``strictly``: at an instant only earlier events count,
        as in batch audiences."""
        super().__init__(key, source, max_samples, calendar)
        self.audience = audience
        self.accumulator = accumulator
        self.strictly = strictly
        self.has_timers = strictly or isinstance(accumulator, Since)

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        series = Series.of(state)
        first, end = self.counting(row, series, at_ms)
        return self.accumulator.holds(series, first, end, at_ms)

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        series = Series.of(state)
        first, end = self.counting(row, series, after_ms)
        now, at_ms = self.accumulator.holds(series, first, end, after_ms), after_ms
        while True:
            joins_ms = series.times[end] + 1 if end < len(series.times) else FAR_MS
            at_ms = min(self.accumulator.next_change(series, first, end, at_ms), joins_ms)
            if at_ms >= FAR_MS:
                return None
            first, end = self.counting(row, series, at_ms)
            if self.accumulator.holds(series, first, end, at_ms) != now:
                return at_ms

    def counting(self, row: Row, series: Series, at_ms: int) -> tuple[int, int]:
        """(first, end) of the stretch that counts."""
        entered_ms = entered_at_ms(row, self.audience)
        if entered_ms is None:
            return len(series.times), len(series.times)
        end = bisect_left(series.times, at_ms) if self.strictly else len(series.times)
        return min(bisect_left(series.times, entered_ms), end), end

    def add(self, row: Row, state: list[Any] | None, event: Event) -> list[Any] | None:
        entered_ms = entered_at_ms(row, self.audience)
        # Outside, the next entry comes at this very instant or later.
        low = event.now_ms if entered_ms is None else entered_ms
        sample = self.accumulator.sample(event) if event.time_ms >= low else None
        if sample is None:
            return state
        series = Series.copy_of(state)
        self._put(series, event, sample, low)
        return series.stored()

    def _put(self, series: Series, event: Event, sample: list[Any], low: int) -> None:
        times, now_ms = series.times, event.now_ms
        series.drop_first(bisect_left(times, low))
        if len(times) == 2 and times[1] < now_ms:
            self.accumulator.merge(series, 0, times[1], series.accumulators[1])
            series.remove(1)
        is_now = event.time_ms == now_ms
        at = bisect_left(times, now_ms) if is_now else 0
        if at < len(times) and (times[at] == now_ms) is is_now:
            self.accumulator.merge(series, at, event.time_ms, sample)
        else:
            series.insert(at, event.time_ms, sample)
