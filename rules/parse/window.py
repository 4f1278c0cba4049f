"""Which events count by their time: ``within``, ``between_ago``, ``from``/``to``, ``period`` (section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.problems import name_hint
from rules.parse.values import Reader, is_number, join
from rules.time.calendar import calendar_of, instant_in_zone
from rules.time.durations import LONGEST_MS, UNITS_MS

WINDOWS: Final[Mapping[str, str]] = {
    "within": "t - length < e <= t; of an audience: since the latest entry into it, while the user is in it",
    "between_ago": "t - far < e <= t - near: events join by time passing, and leave",
    "from": "from <= e; with to: from <= e < to",
    "to": "e < to",
    "period": "the calendar period of t in the audience's time zone; weeks start on Monday",
}
"""Keys and the event times ``e`` that count at an instant ``t``; ``from`` and ``to`` are one window."""

WINDOW_KEYS: Final = tuple(WINDOWS)

PERIODS: Final[Mapping[str, language.Period]] = {
    "today": language.Period("day", 1, 0),
    "yesterday": language.Period("day", 1, 1),
    "this_week": language.Period("week", 1, 0),
    "last_week": language.Period("week", 1, 1),
    "this_month": language.Period("month", 1, 0),
    "last_month": language.Period("month", 1, 1),
    "this_year": language.Period("year", 1, 0),
}
"""The calendar periods that have names."""

LAST_UNITS: Final[tuple[language.PeriodUnit, ...]] = ("hour", "day", "week", "month")
"""Units of ``{last: 7, unit: day}``."""

_LONGEST: Final[Mapping[language.PeriodUnit, int]] = {
    "hour": LONGEST_MS // UNITS_MS["h"],
    "day": LONGEST_MS // UNITS_MS["d"],
    "week": LONGEST_MS // UNITS_MS["w"],
    "month": 1200,
    "year": 100,
}
"""A century of each unit, as with durations."""


@dataclass(frozen=True, slots=True)
class WindowKinds:
    """What may take which window. ``owner`` names it in messages."""

    owner: str
    keys: tuple[str, ...] = WINDOW_KEYS
    entry: bool = True
    """Whether ``within: {audience: id}`` is one."""


ANY_WINDOW: Final = WindowKinds("an event condition")
OF_SEQUENCE: Final = WindowKinds("a sequence", ("within", "from", "to", "period"), entry=False)
OF_NOT_FOLLOWED: Final = WindowKinds("not_followed_by", ("within", "from", "to", "period"), entry=False)


def parse_window(
    reader: Reader, entries: Mapping[str, Entry], path: str, kinds: WindowKinds = ANY_WINDOW
) -> language.Window:
    """The one window among the keys of a condition; None for none, and for one with problems."""
    given = [key for key in entries if key in WINDOW_KEYS]
    for key in given:
        if key not in kinds.keys:
            hint = f"allowed: {', '.join(kinds.keys)}"
            reader.problem("window", f"{kinds.owner} can't have {key}", join(path, key), entries[key], hint)
    windows = list(dict.fromkeys("from" if key == "to" else key for key in given))
    if len(windows) > 1:
        second = next(key for key in given if key not in (given[0], *_SAME.get(given[0], ())))
        message = f"a condition has one window, not {' and '.join(given)}"
        hint = "write one condition for each, in all or any"
        reader.problem("conflict", message, join(path, second), entries[second], hint)
    windows_read = [_parse(reader, entries, key, path, kinds) for key in windows if key in kinds.keys]
    return windows_read[0] if len(windows_read) == 1 else None


_SAME: Final = {"from": ("to",), "to": ("from",)}


def _parse(
    reader: Reader, entries: Mapping[str, Entry], key: str, path: str, kinds: WindowKinds
) -> language.Window:
    if key == "from":
        return _from_to(reader, entries, path)
    node, inside = entries[key].node, join(path, key)
    if key == "between_ago":
        return _between_ago(reader, node, inside)
    if key == "period":
        return _period(reader, node, inside)
    if isinstance(node.value, Mapping):
        return _since_entry(reader, node.value, node, inside, kinds)
    length_ms = reader.duration(node, inside, "within")
    return None if length_ms is None else language.Within(length_ms)


def _since_entry(
    reader: Reader, entries: Mapping[str, Entry], node: Node, path: str, kinds: WindowKinds
) -> language.SinceEntry | None:
    if not kinds.entry:
        reader.problem("window", f"within of {kinds.owner} must be a duration", path, node)
        return None
    reader.keys(entries, path, ("audience",))
    if "audience" not in entries:
        if not reader.missing(entries, ("audience",), ("audience",)):
            return None
        hint = "such as 30m, or {audience: <id>}"
        reader.problem("missing_key", "within is a duration, or names an audience", path, node, hint)
        return None
    audience = reader.audience(entries["audience"].node, join(path, "audience"))
    return None if audience is None else language.SinceEntry(audience)


def _between_ago(reader: Reader, node: Node, path: str) -> language.BetweenAgo | None:
    ends = reader.items(node, path, "between_ago")
    if ends is None:
        return None
    if len(ends) != 2:
        reader.problem("wrong_value", "between_ago takes two durations, [far, near]", path, node)
        return None
    far, near = (reader.duration(end, join(path, at), "between_ago") for at, end in enumerate(ends))
    if far is None or near is None:
        return None
    if far <= near:
        message = "the first of between_ago must lie further back than the second"
        reader.problem("wrong_value", message, path, node, "such as [30d, 7d]")
        return None
    return language.BetweenAgo(far, near)


def _from_to(reader: Reader, entries: Mapping[str, Entry], path: str) -> language.FromTo | None:
    faults = len(reader.problems)
    bounds = {
        key: _instant(reader, entries[key].node, join(path, key), key)
        for key in ("from", "to")
        if key in entries
    }
    if len(reader.problems) > faults:
        return None
    window = language.FromTo(bounds.get("from"), bounds.get("to"))
    if window.from_ms is not None and window.to_ms is not None and window.from_ms >= window.to_ms:
        message = "from must be before to, which itself is no longer in"
        reader.problem("wrong_value", message, join(path, "to"), entries["to"].node)
        return None
    return window


def _instant(reader: Reader, node: Node, path: str, what: str) -> int | None:
    """UTC ms; a date without a time is the start of that day in the audience's time zone."""
    value = node.value
    if not (is_number(node) or isinstance(value, str)):
        reader.wrong_type(node, path, what, "an instant or a date")
        return None
    try:
        instant = instant_in_zone(value, calendar_of(reader.timezone))
    except ValueError:
        hint = "such as 2024-05-01T09:30:00Z, or 2024-05-01 for the start of that day"
        reader.problem("wrong_value", f"{what} isn't an instant: {value!r}", path, node, hint)
        return None
    return instant


def _period(reader: Reader, node: Node, path: str) -> language.Period | None:
    value = node.value
    if isinstance(value, str):
        if value not in PERIODS:
            message = f"unknown period '{value}'"
            hint = f"{name_hint(value, PERIODS)}, or such as {{last: 7, unit: day}}"
            reader.problem("wrong_value", message, path, node, hint)
        return PERIODS.get(value)
    if not isinstance(value, Mapping):
        reader.wrong_type(node, path, "period", "a name or a map", "such as today, or {last: 7, unit: day}")
        return None
    reader.keys(value, path, ("last", "unit"))
    for key in reader.missing(value, ("last", "unit"), ("last", "unit")):
        reader.problem("missing_key", f"period needs '{key}'", path, node, "such as {last: 7, unit: day}")
    unit = _unit(reader, value["unit"].node, join(path, "unit")) if "unit" in value else None
    if "last" not in value or unit is None:
        return None
    length, inside = value["last"].node, join(path, "last")
    if type(length.value) is not int or not 1 <= length.value <= _LONGEST[unit]:
        message = f"last must be a whole number from 1 to {_LONGEST[unit]} {unit}s"
        reader.problem("wrong_value", message, inside, length)
        return None
    return language.Period(unit, length.value, 0)


def _unit(reader: Reader, node: Node, path: str) -> language.PeriodUnit | None:
    value = reader.text(node, path, "unit")
    for unit in LAST_UNITS:
        if value == unit:
            return unit
    if value is not None:
        reader.unknown("wrong_value", f"unknown unit '{value}'", value, path, node, LAST_UNITS)
    return None
