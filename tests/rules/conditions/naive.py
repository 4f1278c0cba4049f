"""Conditions evaluated from scratch over every event, as docs/semantics.md says in section 5. Slow and plain.

It shares no code with ``rules/``; it reads the definitions (``rules.model.language``), which are data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MISSING = object()


@dataclass(frozen=True)
class Event:
    """``order`` is that of arrival."""

    order: int
    ms: int
    name: str
    properties: dict[str, Any]


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.ms, event.order))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    return not isinstance(one, list | dict) and bool(one == other)


def passes(test: Any, event: Event, chosen: dict[str, Event]) -> bool:
    """A predicate of the model (its operators ``eq ne gt exists older_than`` only)."""
    kind = type(test).__name__
    if kind == "AllTests":
        return all(passes(part, event, chosen) for part in test.parts)
    if kind == "AnyTest":
        return any(passes(part, event, chosen) for part in test.parts)
    if kind == "NotTest":
        return not passes(test.part, event, chosen)
    value, operand = event.properties.get(test.path[0], MISSING), test.operand
    if type(operand).__name__ == "Ref":
        operand = chosen[operand.step].properties.get(operand.path[0], MISSING)
        if operand is None or operand is MISSING or isinstance(operand, list | dict):
            return bool(test.operator == "ne")
    if test.operator == "eq":
        return value is not MISSING and same(value, operand)
    if test.operator == "ne":
        return value is MISSING or not same(value, operand)
    if test.operator == "gt":
        return is_number(value) and is_number(operand) and bool(value > operand)
    if test.operator == "exists":
        return (value is not None and value is not MISSING) is operand
    assert test.operator == "older_than"
    if is_number(value):
        return bool(event.ms - operand >= value * 1000)
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return EPOCH + timedelta(milliseconds=event.ms - operand) >= moment


def matches(names: tuple[str, ...], where: Any, event: Event, chosen: dict[str, Event] | None = None) -> bool:
    named = names == ("*",) or event.name in names
    return named and (where is None or passes(where, event, chosen or {}))


def local_day(ms: int, zone: ZoneInfo) -> date:
    return (EPOCH + timedelta(milliseconds=ms)).astimezone(zone).date()


def period_number(unit: str, ms: int, zone: ZoneInfo) -> int:
    day = local_day(ms, zone)
    if unit == "hour":
        offset = (EPOCH + timedelta(milliseconds=ms)).astimezone(zone).utcoffset()
        assert offset is not None
        return (ms + offset // timedelta(milliseconds=1) % 3_600_000) // 3_600_000
    if unit == "day":
        return day.toordinal()
    if unit == "week":
        return (day - timedelta(days=day.weekday())).toordinal() // 7
    return day.year * 12 + day.month if unit == "month" else day.year


def counts(window: Any, ms: int, at: int, zone: ZoneInfo) -> bool:
    kind = type(window).__name__
    if kind == "NoneType":
        return True
    if kind == "Within":
        return bool(at - window.length_ms < ms <= at)
    if kind == "BetweenAgo":
        return bool(at - window.far_ms < ms <= at - window.near_ms)
    if kind == "FromTo":
        after = window.from_ms is None or ms >= window.from_ms
        return after and (window.to_ms is None or ms < window.to_ms)
    assert kind == "Period"
    last = period_number(window.unit, at, zone) - window.ago
    return bool(last - window.length < period_number(window.unit, ms, zone) <= last)


def compares(comparisons: Any, value: Any) -> bool:
    return all(compares_one(comparison.operator, comparison.operand, value) for comparison in comparisons)


def compares_one(operator: str, bound: Any, value: Any) -> bool:
    if operator == "between":
        return bool(bound[0] <= value <= bound[1])
    answers = {"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}
    return bool({**answers, "eq": value == bound, "ne": value != bound}[operator])


def aggregate(source: Any, events: list[Event], at: int, zone: ZoneInfo) -> bool:
    """Whether the aggregate of these events, in order, compares at ``at``."""
    kind = source.kind
    if kind == "count":
        return compares(source.comparisons, len(events))
    if kind == "days":
        return compares(source.comparisons, len({local_day(event.ms, zone) for event in events}))
    if kind in ("since_first", "since_last"):
        if not events:
            return False
        return compares(source.comparisons, at - events[0 if kind == "since_first" else -1].ms)
    if kind in ("first", "last"):
        return bool(events) and passes(source.test, events[0 if kind == "first" else -1], {})
    values = [event.properties.get(source.property[0]) for event in events]
    if kind == "distinct":
        told = [value for value in values if isinstance(value, str | int | float)]
        return compares(source.comparisons, len({(isinstance(value, bool), value) for value in told}))
    numbers = [value for value in values if is_number(value)]
    total = sum(map(Fraction, numbers), Fraction(0))
    if kind == "sum":
        return compares(source.comparisons, round(float(total), 9))
    if not numbers:
        return False
    if kind == "avg":
        return compares(source.comparisons, round(float(total) / len(numbers), 9))
    return compares(source.comparisons, min(numbers) if kind == "min" else max(numbers))


def event_condition(source: Any, events: list[Event], at: int, zone: ZoneInfo) -> bool:
    found = [event for event in events if matches(source.names, source.where, event)]
    counting = [event for event in found if counts(source.window, event.ms, at, zone)]
    return aggregate(source.aggregate, in_order(counting), at, zone)


def sequence(source: Any, events: list[Event], at: int, zone: ZoneInfo) -> bool:
    return any(counts(source.window, end, at, zone) for end in chain_ends(source, events))


def chain_ends(source: Any, events: list[Event]) -> set[int]:
    """The times of the last events of all chains that fit, whatever the window says."""
    ends: set[int] = set()
    _choose(source, [], in_order(events), ends)
    return ends


def _choose(source: Any, chain: list[Event], events: list[Event], ends: set[int]) -> None:
    """Try every event after the chain's last one as its next step."""
    steps = source.steps
    if len(chain) == len(steps):
        if not _is_broken(source, chain, events):
            ends.add(chain[-1].ms)
        return
    step = steps[len(chain)]
    chosen = {earlier.name: event for earlier, event in zip(steps, chain, strict=False)}
    for event in events:
        if chain and (event.ms, event.order) <= (chain[-1].ms, chain[-1].order):
            continue
        if step.within_ms is not None and event.ms - chain[-1].ms > step.within_ms:
            continue
        if source.total_ms is not None and chain and event.ms - chain[0].ms > source.total_ms:
            continue
        if matches(step.event.names, step.event.where, event, chosen):
            _choose(source, [*chain, event], events, ends)


def _is_broken(source: Any, chain: list[Event], events: list[Event]) -> bool:
    if source.without is None:
        return False
    first, last = (chain[0].ms, chain[0].order), (chain[-1].ms, chain[-1].order)
    between = [each for each in events if first < (each.ms, each.order) < last]
    return any(matches(source.without.names, source.without.where, each) for each in between)


def not_followed(source: Any, events: list[Event], at: int, zone: ZoneInfo) -> bool:
    for a in events:
        if not matches(source.event.names, source.event.where, a):
            continue
        if a.ms + source.for_ms > at or not counts(source.window, a.ms, at, zone):
            continue
        followers = [
            f
            for f in events
            if (f.ms, f.order) > (a.ms, a.order)
            and (source.still or f.ms <= a.ms + source.for_ms)
            and matches(source.follower.names, source.follower.where, f, {"a": a})
        ]
        if not followers:
            return True
    return False


EVALUATE: dict[str, Callable[[Any, list[Event], int, ZoneInfo], bool]] = {
    "EventCondition": event_condition,
    "Sequence": sequence,
    "NotFollowed": not_followed,
}


def evaluate(source: Any, events: list[Event], at: int, zone: str = "UTC") -> bool:
    """The truth of a condition at ``at``, the events being all that came so far."""
    return EVALUATE[type(source).__name__](source, events, at, ZoneInfo(zone))
