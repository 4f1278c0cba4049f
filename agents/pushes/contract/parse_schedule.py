"""When a push runs: ``once``, ``daily``, a cron expression, or a map that says more.

Whatever the author writes becomes one cron expression in one time zone, so that there is one kind of time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final, get_args
from zoneinfo import ZoneInfoNotFoundError

from agents.deliver.definitions.parse_values import Fields
from agents.pushes.contract.push import Missed, Overlap, Schedule
from rules.parse.audience import cron_fault, is_timezone, timezones
from rules.parse.document import Node
from rules.parse.problems import name_hint
from rules.parse.values import Reader, join
from rules.time.calendar import calendar_of, instant_in_zone
from rules.time.instants import InstantInvalid

KINDS: Final = ("once", "hourly", "daily", "weekly", "monthly", "cron")
CRONS: Final[Mapping[str, str]] = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * mon",
    "monthly": "0 0 1 * *",
}
"""Of kinds that say no more."""
TAKES: Final[Mapping[str, tuple[str, ...]]] = {
    "hourly": ("at",),
    "daily": ("at",),
    "weekly": ("at", "on"),
    "monthly": ("at", "on"),
}
"""What may stand beside ``every``."""
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LAST: Final = "last"
MAX_DAY: Final = 28
"""Every month has it."""
KEYS: Final = ("every", "at", "on", "cron", "timezone", "start", "end", "missed", "overlap")
CRON_HINT: Final = "five fields: minute, hour, day of the month, month, day of the week; such as 0 6 * * mon"
_AT: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_MINUTE: Final = re.compile(r":([0-5]\d)")


def parse_schedule(reader: Reader, node: Node | None, path: str) -> Schedule:
    """Of a push; ``once`` where nothing is written. Problems are noted at the reader."""
    if node is None:
        return Schedule()
    if isinstance(node.value, Mapping):
        return _map(Fields(reader, node.value, path, node))
    text = reader.text(node, path, "schedule")
    if text is None or text == "once":
        return Schedule()
    if text in CRONS:
        return Schedule(text, CRONS[text])  # type: ignore[arg-type]
    if " " not in text.strip():
        told = name_hint(text, (*CRONS, "once"))
        hint = f"{told}, a cron expression, or a map with 'every'"
        reader.problem("wrong_value", f"unknown schedule '{text}'", path, node, hint)
        return Schedule()
    return Schedule("cron", _cron(reader, text, path, node))


def _map(fields: Fields) -> Schedule:
    fields.reader.keys(fields.entries, fields.path, KEYS)
    standard = "cron" if "cron" in fields.entries else None
    kind: Any = fields.choice("every", KINDS, standard, None if standard else "a schedule needs 'every'")
    zone = _zone(fields)
    missed, overlap = get_args(Missed), get_args(Overlap)
    schedule = Schedule(
        kind or "once",
        "" if kind is None else _times(fields, kind),
        zone,
        _instant(fields, "start", zone),
        _instant(fields, "end", zone),
        fields.choice("missed", missed, "run_once") or "run_once",  # type: ignore[arg-type]
        fields.choice("overlap", overlap, "wait") or "wait",  # type: ignore[arg-type]
    )
    if kind == "once":
        for key in ("end", "overlap"):
            if key in fields.entries:
                fields.wrong(key, f"'{key}' has no effect, because a push that runs once has one time")
    elif schedule.start_ms and schedule.end_ms and schedule.end_ms <= schedule.start_ms:
        fields.wrong("end", "end must be after start")
        schedule = replace(schedule, end_ms=None)
    return schedule


def _times(fields: Fields, kind: str) -> str:
    """The cron expression."""
    takes = TAKES.get(kind, ())
    for key in ("at", "on"):
        if key in fields.entries and key not in takes:
            fields.wrong(key, f"'{key}' has no effect, because every is {kind}")
    if kind == "cron":
        text = fields.text("cron", "a schedule with every: cron needs 'cron'")
        node = fields.entries["cron"].node if text is not None else fields.at
        return "" if text is None else _cron(fields.reader, text, join(fields.path, "cron"), node)
    if "cron" in fields.entries:
        fields.wrong("cron", f"'cron' has no effect, because every is {kind}")
    if kind == "once":
        return ""
    minute, hour = _at(fields, kind)
    if kind == "hourly":
        return f"{minute} * * * *"
    if kind == "daily":
        return f"{minute} {hour} * * *"
    if kind == "weekly":
        days = ",".join(each[:3] for each in _weekdays(fields)) or "mon"
        return f"{minute} {hour} * * {days}"
    return f"{minute} {hour} {','.join(_month_days(fields)) or '1'} * *"


def _at(fields: Fields, kind: str) -> tuple[int, int]:
    """Minute and hour; midnight where nothing is written."""
    text = fields.text("at")
    if text is None:
        return 0, 0
    pattern, told = (_MINUTE, '":15"') if kind == "hourly" else (_AT, '"08:30"')
    found = pattern.fullmatch(text)
    if found is None:
        fields.wrong("at", f"at must be a time such as {told}, because every is {kind}")
        return 0, 0
    if kind == "hourly":
        return int(found[1]), 0
    return int(found[2]), int(found[1])


def _listed(fields: Fields, key: str) -> Sequence[tuple[str, Node]]:
    """The items of a list, or the one that stands in its place, with their paths."""
    if key not in fields.entries:
        return ()
    node, inside = fields.entries[key].node, join(fields.path, key)
    if not isinstance(node.value, tuple):
        return [(inside, node)]
    return [(join(inside, at), item) for at, item in enumerate(fields.reader.items(node, inside, key) or ())]


def _weekdays(fields: Fields) -> list[str]:
    found = []
    for inside, node in _listed(fields, "on"):
        text = fields.reader.text(node, inside, "on")
        if text is not None and text not in DAYS:
            fields.reader.unknown("wrong_value", f"unknown day '{text}'", text, inside, node, DAYS)
        elif text is not None:
            found.append(text)
    return found


def _month_days(fields: Fields) -> list[str]:
    found = []
    for inside, node in _listed(fields, "on"):
        value = node.value
        if value == LAST:
            found.append("L")
        elif isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_DAY:
            found.append(str(value))
        else:
            message = f"on must be a day from 1 to {MAX_DAY}, which every month has, or {LAST}"
            fields.reader.problem("wrong_value", message, inside, node)
    return found


def _cron(reader: Reader, text: str, path: str, node: Node) -> str:
    cron = " ".join(text.split())
    if fault := cron_fault(cron):
        reader.problem("cron", f"'{text}' isn't a cron expression: {fault}", path, node, CRON_HINT)
        return "0 0 * * *"
    return cron


def _zone(fields: Fields) -> str:
    zone = fields.text("timezone")
    if zone is None or is_timezone(zone):
        return zone or "UTC"
    near = get_close_matches(zone, timezones(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "a name of the IANA database, such as Asia/Shanghai"
    fields.wrong("timezone", f"unknown time zone '{zone}'", hint)
    return "UTC"


def _instant(fields: Fields, key: str, zone: str) -> int | None:
    text = fields.text(key)
    if text is None:
        return None
    try:
        return instant_in_zone(text, calendar_of(zone))
    except (InstantInvalid, ZoneInfoNotFoundError) as error:
        hint = "an instant such as 2026-12-01T08:00:00+08:00, or a date in the zone"
        fields.wrong(key, f"{key}: {error}", hint)
        return None
