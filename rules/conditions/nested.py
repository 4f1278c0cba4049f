"""Audiences in audiences: being in one, for a time, and events since the latest entry (sections 4 and 5).

They read the memberships of the row, so whoever decides must have decided the other audience first, look
again at those that ask about it when its membership changes, and at when they change next by time.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from rules.aggregates.accumulator import Accumulator, Accumulators, Times
from rules.aggregates.aggregate_condition import AggregateCondition
from rules.aggregates.of_events import Since
from rules.conditions.truth import CompiledRule, never
from rules.model import language
from rules.model.canonical import audience_key
from rules.state.condition import Properties, Update
from rules.state.row import Row
from rules.time.instants import FAR_MS


def compile_membership(project: str, source: language.InAudience) -> CompiledRule:
    """Whether the user is in another audience, and has been for ``for_ms`` without a break."""
    key, for_ms = audience_key(project, source.audience), source.for_ms or 0

    def truth(row: Row, at_ms: int) -> bool:
        membership = row.audiences.get(key)
        return membership is not None and membership.inside and at_ms >= row.since_ms(membership) + for_ms

    def change(row: Row, after_ms: int) -> int:
        membership = row.audiences.get(key)
        if membership is None or not membership.inside:
            return FAR_MS
        timer_ms = row.since_ms(membership) + for_ms
        return timer_ms if timer_ms > after_ms else FAR_MS

    return CompiledRule(truth, change if for_ms else never)


class SinceEntryCondition(AggregateCondition[list[Any]]):
    """Any aggregate of the events since the latest entry into an audience that the user is in.

    State: [event times ascending, their accumulators], at most two: one for all earlier events, one for those
    at the latest clock. These count in a new stay, too, if the user leaves and enters at this very instant.
    """

    def __init__(
        self,
        key: int,
        source: language.EventCondition,
        max_samples: int,
        project: str,
        audience: str,
        accumulator: Accumulator,
        strictly: bool = False,
    ) -> None:
        """``strictly``: at an instant only earlier events count, as in batch audiences."""
        super().__init__(key, source, max_samples)
        self.audience = audience_key(project, audience)
        self.accumulator = accumulator
        self.strictly = strictly
        self.has_timers = strictly or isinstance(accumulator, Since)

    def value(self, row: Row, state: list[Any] | None, at_ms: int) -> bool:
        times, accumulators, first, end = self.counting(row, state, at_ms)
        return self.accumulator.holds(times, accumulators, first, end, at_ms)

    def next_timer(self, row: Row, state: list[Any], after_ms: int) -> int | None:
        times, accumulators, first, end = self.counting(row, state, after_ms)
        now, at_ms = self.accumulator.holds(times, accumulators, first, end, after_ms), after_ms
        while True:
            joins_ms = times[end] + 1 if end < len(times) else FAR_MS
            at_ms = min(self.accumulator.next_change(times, first, end, at_ms), joins_ms)
            if at_ms >= FAR_MS:
                return None
            _, _, first, end = self.counting(row, state, at_ms)
            if self.accumulator.holds(times, accumulators, first, end, at_ms) != now:
                return at_ms

    def counting(self, row: Row, state: list[Any] | None, at_ms: int) -> tuple[Times, Accumulators, int, int]:
        """The parts of the state, and the stretch of it that counts."""
        times, accumulators = state or ([], [])
        membership = row.audiences.get(self.audience)
        if membership is None or not membership.inside:
            return times, accumulators, len(times), len(times)
        end = bisect_left(times, at_ms) if self.strictly else len(times)
        return times, accumulators, min(bisect_left(times, row.since_ms(membership)), end), end

    def updater_for(self, name: str) -> Update:
        key, where, audience = self.key, self.where, self.audience
        sample_of, take, value, by_time = self.accumulator.sample, self._take, self.value, self.has_timers

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            membership = row.audiences.get(audience)
            inside = membership is not None and membership.inside
            # Outside, the next entry comes at this very instant or later.
            low = row.since_ms(membership) if inside and membership is not None else now_ms
            if event_ms < low:
                return False
            sample = sample_of(event_ms, properties)
            if sample is None:
                return False
            state: list[Any] = row.conditions.setdefault(key, [])
            before = value(row, state, decided_ms)
            take(state, event_ms, sample, low, now_ms)
            if by_time or value(row, state, now_ms) != before:
                touched.append(key)
            return True

        return update

    def _take(self, state: list[Any], event_ms: int, sample: list[object], low: int, now_ms: int) -> None:
        if not state:
            state.extend(([], []))
        times, accumulators = state
        gone = bisect_left(times, low)
        del times[:gone], accumulators[:gone]
        if len(times) == 2 and times[1] < now_ms:
            self.accumulator.merge(times, accumulators, 0, times[1], accumulators[1])
            del times[1], accumulators[1]
        if event_ms == now_ms:
            at = bisect_left(times, now_ms)
        else:
            at = 0
        if at < len(times) and (times[at] == now_ms) is (event_ms == now_ms):
            self.accumulator.merge(times, accumulators, at, event_ms, sample)
        else:
            times.insert(at, event_ms)
            accumulators.insert(at, sample)
