"""Conditions on the number of events, for ever and in a sliding window."""

from __future__ import annotations

from rules.aggregates.aggregate_condition import AggregateCondition, length_ms_of, next_expiry_timer
from rules.model import language
from rules.predicates.comparisons import count_bound
from rules.state.condition import Properties, Update
from rules.state.event_times import by_time, instants, place, reference, time_of
from rules.state.row import Row, State
from rules.time.instants import FAR_MS


class CountEver(AggregateCondition[list[int]]):
    """State: [number of events], counted no further than the comparisons can tell apart."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: list[int] | None, at_ms: int) -> bool:
        return self.compare(state[0] if state else 0)

    def updater_for(self, name: str) -> Update:
        key, where, bound, compare = self.key, self.where, self.bound, self.compare

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            states = row.conditions
            state: list[int] | None = states.get(key)
            if state is None:
                state = states[key] = [0]
            count = state[0]
            if count >= bound:
                return False
            state[0] = count + 1
            if compare(count + 1) != compare(count):
                touched.append(key)
            return True

        return update


class CountWithin(AggregateCondition[str]):
    """State: references to the latest events in the window, ascending by time, no more than it takes."""

    has_timers = True

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.length_ms = length_ms_of(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, row: Row, state: str | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        return self.compare(len(state) - place(row, state, at_ms - self.length_ms))

    def next_timer(self, row: Row, state: str, after_ms: int) -> int | None:
        return next_expiry_timer(instants(row, state), self.length_ms, after_ms, self.compare)

    def apply(self, row: Row, state: str | None, event_ms: int, properties: Properties, now_ms: int) -> str:
        refs = state or ""
        horizon = now_ms - self.length_ms
        if event_ms > horizon:
            at = place(row, refs, event_ms)
            refs = refs[:at] + reference(row, event_ms) + refs[at:]
        return refs[max(place(row, refs, horizon), len(refs) - self.bound) :]

    def plain(self, row: Row, state: str) -> State:
        times, events = by_time(row, state, state)
        return [times, [[len(each)] for each in events]]


class CountAtLeastWithin(CountWithin):
    """``count >= n`` in a window, the commonest kind: an event can only make it true or keep it so."""

    def value(self, row: Row, state: str | None, at_ms: int) -> bool:
        if state is None or len(state) < self.bound:
            return False
        return time_of(row, state[-self.bound]) > at_ms - self.length_ms

    def next_timer(self, row: Row, state: str, after_ms: int) -> int | None:
        if len(state) < self.bound:
            return None
        timer_ms = time_of(row, state[-self.bound]) + self.length_ms
        return timer_ms if timer_ms > after_ms else None

    def updater_for(self, name: str) -> Update:
        key, where = self.key, self.where
        bound, length_ms = self.bound, self.length_ms
        if bound == 1:
            return self._latest_updater()

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            horizon = now_ms - length_ms
            if event_ms <= horizon:
                return False
            ref = reference(row, event_ms)
            states = row.conditions
            state: str | None = states.get(key)
            if state is None:
                states[key] = ref
                return True
            size = len(state)
            at = place(row, state, event_ms)
            state = state[:at] + ref + state[at:]
            if size < bound:
                states[key] = state
                if size + 1 < bound:
                    return True
            else:
                gone_ms = time_of(row, state[0])
                states[key] = state = state[1:]
                if gone_ms > decided_ms - length_ms:
                    # It stays true, and its timer moves later: the timer index still has a lower bound.
                    # (At ``now_ms`` itself it may have run out; then the timer due now decides.)
                    return True
            if time_of(row, state[0]) > horizon:
                touched.append(key)
            return True

        return update

    def _latest_updater(self) -> Update:
        """Of ``count >= 1``: the state is one reference, to the latest event."""
        key, where, length_ms = self.key, self.where, self.length_ms

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            if event_ms <= now_ms - length_ms:
                return False
            states = row.conditions
            state: str | None = states.get(key)
            before_ms = -FAR_MS if state is None else time_of(row, state)
            if event_ms <= before_ms:
                return False
            states[key] = reference(row, event_ms)
            if before_ms <= decided_ms - length_ms:
                touched.append(key)
            return True

        return update
