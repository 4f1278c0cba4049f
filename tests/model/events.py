"""Section 5: event conditions. Which events count at an instant, and what they add up to."""

from __future__ import annotations

from math import fsum
from typing import Any

from tests.model.calendars import period_number, period_of, start_of_date
from tests.model.facts import Happened, View
from tests.model.instants import DATE, duration_ms, instant_ms
from tests.model.operators import Refs, compared, fits, is_number, operator, reach_all, reach_first, same

Json = Any
AGGREGATES = (
    "count", "sum", "avg", "min", "max", "distinct", "days", "first", "last", "since_last", "since_first",
)  # fmt: skip


def matches(pattern: Json, event: Happened, zone: str, refs: Refs | None = None) -> bool:
    """Whether an event has one of the names, and its properties fit."""
    names = pattern["event"] if isinstance(pattern["event"], list) else [pattern["event"]]
    if event.name not in names and names != ["*"]:
        return False
    where = pattern.get("where")
    if where is None:
        return True
    if refs:
        return fits(where, event.properties, event.time_ms, zone, refs)
    if id(where) not in event.fits:
        event.fits[id(where)] = fits(where, event.properties, event.time_ms, zone)
    return event.fits[id(where)]


def counts(rule: Json, event: Happened, view: View) -> bool:
    """Whether an event lies in the window of a rule."""
    e, t = event.time_ms, view.at_ms
    within = rule.get("within")
    if isinstance(within, dict):
        entered_ms = view.since(within["audience"])
        return entered_ms is not None and e >= entered_ms
    if within is not None:
        return t - duration_ms(within) < e <= t
    if "between_ago" in rule:
        far, near = map(duration_ms, rule["between_ago"])
        return t - far < e <= t - near
    if "period" in rule:
        unit, length, ago = period_of(rule["period"])
        behind = period_number(t, unit, view.zone) - period_number(e, unit, view.zone)
        return ago <= behind < ago + length
    after = "from" not in rule or edge_ms(rule["from"], view.zone) <= e
    return after and ("to" not in rule or e < edge_ms(rule["to"], view.zone))


def edge_ms(value: Json, zone: str) -> int:
    """Of ``from`` and ``to``. Choice: a date is the start of that day in the audience's zone."""
    if isinstance(value, str) and DATE.fullmatch(value):
        return start_of_date(value, zone)
    instant = instant_ms(value)
    assert instant is not None
    return instant


def event_truth(rule: Json, view: View) -> bool:
    found = [e for e in view.events() if matches(rule, e, view.zone) and counts(rule, e, view)]
    kind = next((each for each in AGGREGATES if each in rule), None)
    if kind is None:
        return len(found) >= 1
    bounds = {name: bound for name, bound in rule[kind].items() if name != "property"}
    if kind in ("first", "last"):
        return end_truth(kind, rule[kind]["property"], bounds, found, view.zone)
    if kind in ("since_last", "since_first"):
        bounds = {name: durations(bound) for name, bound in bounds.items()}
    value = aggregate(kind, rule[kind].get("property", ""), found, view)
    return value is not None and all(compared(name, bound, value) for name, bound in bounds.items())


def end_truth(kind: str, name: str, bounds: Json, found: list[Happened], zone: str) -> bool:
    if not found:
        return False
    event = min(found, key=lambda e: e.order) if kind == "first" else max(found, key=lambda e: e.order)
    value = reach_first(event.properties, name)
    return all(operator(each, operand, value, event.time_ms, zone) for each, operand in bounds.items())


def durations(bound: Json) -> Json:
    return [duration_ms(each) for each in bound] if isinstance(bound, list) else duration_ms(bound)


def aggregate(kind: str, name: str, found: list[Happened], view: View) -> float | int | None:
    """The value; None where there is none, and then no comparison holds."""
    if kind == "count":
        return len(found)
    if kind == "days":
        return len({period_number(each.time_ms, "day", view.zone) for each in found})
    if kind in ("since_last", "since_first"):
        times = [each.time_ms for each in found]
        pick = max if kind == "since_last" else min
        return view.at_ms - pick(times) if times else None
    values = [value for each in found for value in reach_all(each.properties, name)]
    if kind == "distinct":
        different: list[Json] = []
        for value in values:
            if isinstance(value, str | int | float) and not any(same(value, other) for other in different):
                different.append(value)
        return len(different)
    numbers = [value for value in values if is_number(value)]
    if kind == "sum":
        return round(fsum(numbers), 9)
    if not numbers:
        return None
    if kind == "avg":
        return round(fsum(numbers) / len(numbers), 9)
    found_number: float | int = min(numbers) if kind == "min" else max(numbers)
    return found_number
