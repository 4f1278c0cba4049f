"""One condition in both engines, over the same row's bytes: whatever it does must be the same."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest

from agents.formats.json import bounded
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.compile.spec import spec_of
from rules.decide.take import Effect, take
from rules.model import language
from rules.state.condition import Event
from rules.state.row import Row
from tables.codec import decode_row, encode_row

testing: Any = pytest.importorskip(
    "turnstile_core", reason="the native core isn't built: make core, with cargo"
).testing

MEMBERS = language.Audience(
    "members", "Members", language.AttributeCondition(language.Test(("m",), "exists", True))
)
"""An audience that conditions may ask about."""


class Pair:
    """The Python condition and the native one, with the row that both have so far."""

    def __init__(
        self,
        source: language.StateCondition,
        zone: str = "UTC",
        max_samples: int = 1000,
        schedule: language.Schedule | None = None,
        begin_ms: int = 0,
    ) -> None:
        kind: Any = "realtime" if schedule is None else "batch"
        audience = language.Audience("a", "A", source, timezone=zone, type=kind, schedule=schedule)
        rules = compile_rules([PublishedAudience(each, 1) for each in (audience, MEMBERS)], max_samples)
        project = rules.projects["default"]
        (self.condition,) = project.conditions.values()
        self.native = testing.Conditions(spec_of(rules), "default")
        self.members = next(each.key for each in project.audiences if each.id == "members")
        self.row = Row(begin_ms, base_ms=begin_ms)
        self.dropped = 0

    def take(self, event_ms: int, name: str, properties: dict[str, Any], now_ms: int) -> Effect | None:
        """Both take an event: their rows' bytes, whether these changed agree."""
        condition, names = self.condition, self.condition.names
        if name not in names and "*" not in names:
            return None
        properties = deepcopy(properties)
        bounded(properties)  # as every reader does
        instants_ms = event_ms, now_ms if self.row.now_ms == now_ms else now_ms - 1, now_ms
        before = encode_row(self.row)
        packed = msgspec.msgpack.encode(properties)
        native = self.native.take(condition.key, before, name, packed, *instants_ms)
        effect = take(condition, self.row, Event(name, properties, event_ms, now_ms), instants_ms[1])
        after = encode_row(self.row)
        assert decode_row(native[0]) == self.row
        assert native[:2] == (after, effect.is_changed)
        assert native[2] or not effect.is_felt  # it may look again more often
        self.dropped += self.native.take_dropped(condition.key)
        assert self.dropped == condition.dropped_samples
        self.row = decode_row(after)
        self.row.now_ms = now_ms
        return effect

    def agree(self, at_ms: int) -> int | None:
        """On the value at an instant, and on when it changes after: that is returned."""
        key, condition, row = self.condition.key, self.condition, encode_row(self.row)
        state = self.row.conditions.get(key)
        assert self.native.value(key, row, at_ms) == condition.value(self.row, state, at_ms)
        assert self.native.has_timers(key) == condition.has_timers
        if not condition.has_timers or state is None:
            return None
        timer_ms = condition.next_timer(self.row, state, at_ms)
        assert self.native.next_timer(key, row, at_ms) == timer_ms
        return timer_ms

    def turn(self, at_ms: int) -> None:
        """The user enters the audience that the condition may ask about, or leaves it."""
        self.row.turn(self.members, 1, at_ms)
