"""From when on events count for a condition whose history is short (docs/semantics.md, section 8a)."""

from __future__ import annotations

from rules.model import language
from rules.model.lookback import events_begin_ms
from rules.time.calendar import calendar_of
from rules.time.instants import format_instant


def counts_from_ms(rule: language.Rule, complete_from_ms: int, at_ms: int, timezone: str) -> int | None:
    """Of a condition on events: ``complete_from_ms`` where earlier events would count at ``at_ms``.

    None where none would, so that the condition is as exact as with a whole history. Events from
    ``complete_from_ms`` on are known. ``timezone`` is the audience's.
    """
    match rule:
        case language.EventCondition(window=language.Period() as period):
            begins_ms: int | None = _period_begins_ms(period, at_ms, timezone) - 1
        case language.EventCondition() | language.Sequence() | language.NotFollowed():
            begins_ms = events_begin_ms(rule, at_ms)
        case _:
            return None
    if begins_ms is not None and begins_ms >= complete_from_ms - 1:
        return None
    return complete_from_ms


def short_history(from_ms: int) -> str:
    """What is said of a condition that only counts events from an instant on."""
    return f"Only events since {format_instant(from_ms)} count, because its history begins there."


def _period_begins_ms(period: language.Period, at_ms: int, timezone: str) -> int:
    calendar = calendar_of(timezone)
    number = calendar.period(period.unit, at_ms)
    return calendar.start(period.unit, number - period.ago - period.length + 1)
