"""Conditions whose ``where`` has date operators: they need an event's time, which plain predicates don't."""

from __future__ import annotations

from rules.model import language
from rules.predicates.dates import compile_dated_predicate
from rules.state.condition import AnyCondition, Properties, Update
from rules.state.row import Row, State
from rules.time.calendar import Calendar


class DatedWhere:
    """A condition of any kind behind a predicate over an event's properties and time. State: the inner one's.

    ``inner`` is built without ``where``, so that it and its fast way of taking events stay as they are.
    """

    def __init__(self, inner: AnyCondition, source: language.EventCondition, calendar: Calendar) -> None:
        assert source.where is not None
        self.inner = inner
        self.key = inner.key
        self.source = source
        self.names = source.names
        self.check = compile_dated_predicate(source.where, calendar)
        self.max_samples = inner.max_samples
        self.has_timers = inner.has_timers

    @property
    def dropped_samples(self) -> int:
        return self.inner.dropped_samples

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        return self.inner.value(row, state, at_ms)

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        return self.inner.next_timer(row, state, after_ms)

    def plain(self, row: Row, state: State) -> State:
        return self.inner.plain(row, state)

    def updater_for(self, name: str) -> Update:
        check, inner = self.check, self.inner.updater_for(name)

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            return check(properties, event_ms) and inner(
                row, properties, event_ms, decided_ms, now_ms, touched
            )

        return update
