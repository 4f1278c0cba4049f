"""Section 7: operators on values, and ``where``.

Choice: at the very duration a value is ``older_than``, no longer ``newer_than``. ``anniversary`` is about
days on the calendar of the audience's zone: true from ``within`` before the start of the day on which the
value's day of the year comes round again (29 February: 28 February in other years) to the end of that day;
the day itself doesn't count.

Choice: an element that isn't an object has no names, so each of them is missing there, for ``lines[].sku``
as for ``some``. The elements that ``a[].b[]`` stands for are those of all lists ``b``, in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from tests.model.calendars import local_date, period_start, start_of_date
from tests.model.instants import DATE, FIRST_MS, LAST_MS, date_ms, duration_ms

Json = Any
MISSING = object()
DATED = ("older_than", "newer_than", "in_next", "between_next", "anniversary")
OVER_ELEMENTS = ("some", "every", "none")
NEGATED = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
TEXT: dict[str, Callable[[str, str], object]] = {
    "contains": lambda value, operand: operand in value,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "icontains": lambda value, operand: operand.casefold() in value.casefold(),
    "ieq": lambda value, operand: operand.casefold() == value.casefold(),
    "matches": lambda value, operand: re.search(operand, value),
}

Refs = Mapping[str, Mapping[str, Json]]
"""By name, the properties of the events that earlier steps took."""


def reach(value: Json, dotted: str) -> Json:
    """What a name stands for. At each object the longest prefix that is a key wins, and that is final."""
    parts = dotted.split(".")
    for size in range(len(parts), 0, -1):
        prefix, rest = ".".join(parts[:size]), ".".join(parts[size:])
        if isinstance(value, dict) and prefix in value:
            return reach(value[prefix], rest) if rest else value[prefix]
    return MISSING


def reach_all(value: Json, name: str) -> list[Json]:
    """What a name stands for: one value, or with ``[]`` that of each element, MISSING where it has none."""
    dotted, brackets, rest = name.partition("[]")
    found = reach(value, dotted)
    if not brackets:
        return [found]
    elements = found if isinstance(found, list) else []
    if not rest:
        return elements
    return [inner for element in elements for inner in reach_all(element, rest.removeprefix("."))]


def reach_first(value: Json, name: str) -> Json:
    """Of ``first`` and ``last``: of elements that of the first one that has one."""
    return next((each for each in reach_all(value, name) if each is not MISSING), MISSING)


def is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Json, other: Json) -> bool:
    """Equal scalars of one type."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    return type(one) is type(other) and isinstance(one, str | bool | None) and one == other


def same_json(one: Json, other: Json) -> bool:
    """Equal values of any kind, MISSING too."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    return one is other or same(one, other)


def operator(
    name: str, operand: Json, value: Json, at_ms: int = 0, zone: str = "UTC", refs: Refs | None = None
) -> bool:
    """One operator on one value; ``at_ms`` is what dates are held against."""
    if isinstance(operand, dict) and "ref" in operand:
        step, _, rest = operand["ref"].partition(".")
        operand = reach((refs or {})[step], rest)
        if operand is MISSING or operand is None:
            return name in NEGATED
    if name in NEGATED:
        return not operator(NEGATED[name], operand, value)
    if name == "exists":
        return (value is not MISSING and value is not None) is operand
    if name == "eq":
        return same(value, operand)
    if name == "in":
        return any(same(value, each) for each in operand)
    if name in ("gt", "gte", "lt", "lte", "between"):
        return ordered(name, operand, value, zone)
    if name in DATED:
        return dated(name, operand, value, at_ms, zone)
    if name in OVER_ELEMENTS:
        elements = value if isinstance(value, list) else []
        found = [
            fits(operand, each if isinstance(each, dict) else {}, at_ms, zone, refs) for each in elements
        ]
        return {"some": any(found), "every": bool(found) and all(found), "none": not any(found)}[name]
    if isinstance(value, list):
        if name == "contains":
            return any(same(each, operand) for each in value)
        if name not in ("any_of", "all_of"):
            return False
        found = [any(same(each, item) for item in value) for each in operand]
        return any(found) if name == "any_of" else all(found)
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    return bool(TEXT[name](value, operand))


def zoned_ms(value: Json, zone: str) -> int | None:
    """Of what date operators take. A date is its midnight in the zone."""
    instant = date_ms(value)
    if instant is not None and isinstance(value, str) and DATE.fullmatch(value):
        return start_of_date(value, zone)
    return instant


def ordered(name: str, operand: Json, value: Json, zone: str) -> bool:
    """Two numbers, or two instants given as text."""
    bounds = operand if name == "between" else [operand]
    if all(is_number(bound) for bound in bounds) and is_number(value):
        return compared(name, operand, value)
    if not all(isinstance(each, str) for each in (*bounds, value)):
        return False
    instants = [zoned_ms(bound, zone) for bound in bounds]
    instant = zoned_ms(value, zone)
    if instant is None or None in instants:
        return False
    return compared(name, instants if name == "between" else instants[0], instant)


def compared(name: str, bound: Json, value: Json) -> bool:
    if name == "between":
        return bool(bound[0] <= value <= bound[1])
    answers = {"lt": value < bound, "lte": value <= bound, "gt": value > bound, "gte": value >= bound}
    answers |= {"eq": value == bound, "ne": value != bound}
    return bool(answers[name])


def dated(name: str, operand: Json, value: Json, at_ms: int, zone: str) -> bool:
    instant = zoned_ms(value, zone)
    if instant is None:
        return False
    if name == "older_than":
        return instant <= at_ms - duration_ms(operand)
    if name == "newer_than":
        return instant > at_ms - duration_ms(operand)
    if name == "in_next":
        return at_ms <= instant < at_ms + duration_ms(operand)
    if name == "between_next":
        near_ms, far_ms = map(duration_ms, operand)
        return at_ms + near_ms <= instant < at_ms + far_ms
    within_ms = duration_ms(operand["within"])
    years = 2 + within_ms // (365 * 86_400_000)
    return any(start - within_ms <= at_ms < end for start, end in anniversaries(value, zone, at_ms, years))


def anniversaries(value: Json, zone: str, at_ms: int, years: int) -> list[tuple[int, int]]:
    """The days (start, end) on which a date comes round again, from the year before ``at_ms`` on."""
    instant = date_ms(value)
    if instant is None or not FIRST_MS <= instant <= LAST_MS:
        return []
    is_date = isinstance(value, str) and DATE.fullmatch(value)
    born = date.fromisoformat(value) if is_date else local_date(instant, zone)
    this_year = local_date(at_ms, zone).year
    days = []
    for year in range(max(this_year - 1, born.year + 1), this_year + years + 1):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        missing = (born.month, born.day) == (2, 29) and not leap
        number = (date(year, 2, 28) if missing else born.replace(year=year)).toordinal()
        days.append((period_start(number, "day", zone), period_start(number + 1, "day", zone)))
    return days


def fits(
    where: Mapping[str, Json],
    properties: Mapping[str, Json],
    at_ms: int,
    zone: str = "UTC",
    refs: Refs | None = None,
) -> bool:
    """Whether every property listed holds."""
    for name, condition in where.items():
        if name == "all":
            holds = all(fits(part, properties, at_ms, zone, refs) for part in condition)
        elif name == "any":
            holds = any(fits(part, properties, at_ms, zone, refs) for part in condition)
        elif name == "not":
            holds = not fits(condition, properties, at_ms, zone, refs)
        else:
            bare = "in" if isinstance(condition, list) else "eq"
            tests = condition if isinstance(condition, dict) else {bare: condition}
            holds = any(
                all(operator(each, operand, value, at_ms, zone, refs) for each, operand in tests.items())
                for value in reach_all(properties, name)
            )
        if not holds:
            return False
    return True
