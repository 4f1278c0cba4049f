"""One condition that takes events, held against the naive evaluation after each."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from rules.conditions.build import build_condition
from rules.decide.take import NO_EFFECT, Effect, take
from rules.model import language
from rules.state.condition import Event as TakenEvent
from rules.state.row import Row
from tables.codec import decode_row, encode_row
from tests.rules.conditions.naive import Event, chain_ends, counts, evaluate
from tests.rules.conditions.random_conditions import AHEAD_MS, Log, T


class ConditionRun:
    """One condition that takes events, held against the naive evaluation after each."""

    def __init__(self, source: Any, zone: str = "UTC", max_samples: int = 1000) -> None:
        self.source, self.zone = source, zone
        self.built = build_condition("default", source, max_samples, zone)
        self.row = Row(
            now_ms=T, conditions={}, audiences={}, attributes={}, changed_ms={}, identities={}, applied={}
        )
        self.events: list[Event] = []
        self.ends: set[int] = set()
        self.chained = 0

    def take(self, event_ms: int, name: str, properties: dict[str, Any], now_ms: int) -> Effect:
        self.events.append(Event(len(self.events), event_ms, name, properties))
        effect, names = NO_EFFECT, self.built.names
        if name in names or "*" in names:
            decided_ms = now_ms if self.row.now_ms == now_ms else now_ms - 1
            taken = TakenEvent(name, properties, event_ms, now_ms)
            effect = take(self.built, self.row, taken, decided_ms)
        self.row = decode_row(encode_row(self.row))
        self.row.now_ms = now_ms
        return effect

    def told(self, at_ms: int) -> bool:
        return self.built.value(self.row, self.row.conditions.get(self.built.key), at_ms)

    def truth(self, at_ms: int) -> bool:
        if isinstance(self.source, language.Sequence):  # the chains are the same at every instant
            if self.chained != len(self.events):
                self.ends, self.chained = chain_ends(self.source, self.events), len(self.events)
            return any(counts(self.source.window, end, at_ms, ZoneInfo(self.zone)) for end in self.ends)
        return evaluate(self.source, self.events, at_ms, self.zone)

    def next_timer(self, after_ms: int) -> int | None:
        state = self.row.conditions.get(self.built.key)
        return None if state is None else self.built.next_timer(self.row, state, after_ms)


def check(source: Any, log: Log) -> None:
    run, now_ms, timer_ms = ConditionRun(source), T, None
    for step, late, name, found in log:
        now_ms += step
        before = [run.truth(now_ms - 1 if step else now_ms), run.truth(now_ms)]
        effect = run.take(now_ms - late, name, found, now_ms)
        truths = [run.truth(at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)]
        assert [run.told(at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)] == truths
        flips = [now_ms + at for at in range(1, AHEAD_MS) if truths[at] != truths[at - 1]]
        after_ms = now_ms - 1
        for flip in [*flips, None]:
            after_ms = max(after_ms, now_ms)
            assert run.next_timer(after_ms) == flip
            after_ms = flip or after_ms
        # Whoever isn't told to look again relies on the flips that were foreseen.
        if timer_ms is not None and timer_ms <= now_ms:
            timer_ms = None
        elif not effect.is_felt:
            assert truths[0] == before[0] or before[0] != before[1]
            assert not flips or (timer_ms is not None and timer_ms <= flips[0])
        if effect.is_felt or timer_ms is None:
            timer_ms = flips[0] if flips else None
        elif flips:
            timer_ms = min(timer_ms, flips[0])
