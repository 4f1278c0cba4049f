"""An audience's definition: its head and its rule (docs/semantics.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, Literal, get_args
from zoneinfo import available_timezones

from croniter import croniter

from rules.model import language
from rules.parse.backfill import parse_backfill
from rules.parse.document import Entry, Node
from rules.parse.problems import name_hint
from rules.parse.rule import parse_rule
from rules.parse.values import AudienceReference, Place, Reader, join

AudienceType = Literal["realtime", "instant", "batch"]

KEYS: Final[Mapping[str, str]] = {
    "id": "1 to 64 letters, digits or underscores; unique in the project",
    "name": "for people; unique in the project",
    "description": "free text",
    "project": "`default` if not given",
    "type": "`realtime` (if not given), `instant`, which is the same, or `batch`",
    "timezone": "an IANA name, for calendar periods, days, dates and schedules; "
    "if not given the project's (setting `projects.timezones`), otherwise `UTC`",
    "schedule": "when a batch audience is computed; `daily` if not given",
    "labels": "a list of texts, for people and for governance",
    "backfill": "what becomes of the members that a new audience finds, and how much history it asks for",
    "rule": "who is in it",
}
TYPES: Final[tuple[AudienceType, ...]] = get_args(AudienceType)
SCHEDULES: Final[Mapping[str, language.Schedule]] = {
    "once": language.Schedule("once"),
    "daily": language.Schedule("daily"),
    "weekly": language.Schedule("weekly"),
    "monthly": language.Schedule("monthly"),
}
"""Schedules with names; a cron expression is one, too."""


@dataclass(frozen=True, slots=True)
class ParsedAudience:
    """An audience and where it stands; ``path`` leads to it in its file (empty: all of a document).

    ``references`` are the places in its rule that speak of other audiences. ``deleted``: published once,
    and no longer: its name is free, its key isn't, and nothing may speak of it. ``places`` say where the
    parts of its rule stand.
    """

    audience: language.Audience
    file: str
    path: str
    id_at: Node
    name_at: Node
    references: tuple[AudienceReference, ...] = ()
    deleted: bool = False
    places: Mapping[int, Place] = field(default_factory=dict, compare=False, repr=False)


def parse_audience(reader: Reader, node: Node, path: str) -> ParsedAudience | None:
    """A definition, or None when problems were noted for any part of it."""
    entries = reader.entries(node, path, "a definition")
    if entries is None:
        return None
    faults = len(reader.problems)
    reader.keys(entries, path, KEYS)
    for key in reader.missing(entries, ("id", "name", "rule"), KEYS):
        reader.problem("missing_key", f"a definition needs '{key}'", path, node)
    audience_id = _identifier(reader, entries, "id", path, "")
    project = _identifier(reader, entries, "project", path, "default")
    name = _field(reader, entries, "name", path, "")
    description = _description(reader, entries, path)
    kind = _type(reader, entries, path)
    reader.timezone = timezone = _timezone(reader, entries, path, reader.timezones.get(project, "UTC"))
    schedule = _schedule(reader, entries, path, kind)
    labels = _labels(reader, entries, path)
    backfill = language.Backfill()
    if "backfill" in entries:
        backfill = parse_backfill(reader, entries["backfill"].node, join(path, "backfill"))
    reader.references, reader.places = [], {}
    rule = parse_rule(reader, entries["rule"].node, join(path, "rule")) if "rule" in entries else None
    if len(reader.problems) > faults or rule is None or kind is None:
        reader.problems[faults:] = [replace(each, audience=audience_id) for each in reader.problems[faults:]]
        return None
    audience = language.Audience(
        audience_id, name, rule, description, project, kind, timezone, labels, schedule, backfill
    )
    id_at, name_at = entries["id"].node, entries["name"].node
    return ParsedAudience(
        audience, reader.file, path, id_at, name_at, tuple(reader.references), places=reader.places
    )


def _identifier(reader: Reader, entries: Mapping[str, Entry], key: str, path: str, default: str) -> str:
    if key not in entries:
        return default
    return reader.name(entries[key].node, join(path, key), key) or ""


def _field(reader: Reader, entries: Mapping[str, Entry], key: str, path: str, default: str) -> str:
    if key not in entries:
        return default
    return reader.text(entries[key].node, join(path, key), key) or ""


def _description(reader: Reader, entries: Mapping[str, Entry], path: str) -> str:
    if "description" not in entries:
        return ""
    node = entries["description"].node
    if not isinstance(node.value, str):
        reader.wrong_type(node, join(path, "description"), "description", "text")
        return ""
    return node.value


def _type(reader: Reader, entries: Mapping[str, Entry], path: str) -> AudienceType | None:
    if "type" not in entries:
        return "realtime"
    node, inside = entries["type"].node, join(path, "type")
    value = reader.text(node, inside, "type")
    for kind in TYPES:
        if value == kind:
            return kind
    if value is not None:
        reader.unknown("wrong_value", f"unknown type '{value}'", value, inside, node, TYPES)
    return None


def _schedule(
    reader: Reader, entries: Mapping[str, Entry], path: str, kind: AudienceType | None
) -> language.Schedule | None:
    """A batch audience's, daily by default; the others have none."""
    if "schedule" not in entries:
        return SCHEDULES["daily"] if kind == "batch" else None
    entry, inside = entries["schedule"], join(path, "schedule")
    if kind in ("realtime", "instant") and ("type" in entries or reader.missing(entries, ("type",), KEYS)):
        hint = f"type is {kind}: leave schedule out, or say type: batch"
        reader.problem("conflict", "only a batch audience has a schedule", inside, entry, hint)
    text = reader.text(entry.node, inside, "schedule")
    if text is None or text in SCHEDULES:
        return SCHEDULES.get(text or "")
    if " " not in text.strip():
        message, told = f"unknown schedule '{text}'", name_hint(text, SCHEDULES)
        reader.problem("wrong_value", message, inside, entry.node, f"{told}, or a cron expression")
        return None
    cron = " ".join(text.split())
    if fault := cron_fault(cron):
        hint = "five fields: minute, hour, day of the month, month, day of the week; such as 0 6 * * mon"
        reader.problem("cron", f"'{text}' isn't a cron expression: {fault}", inside, entry.node, hint)
        return None
    return language.Schedule("cron", cron)


def cron_fault(cron: str) -> str:
    """Why an expression can't be used; empty if it can."""
    fields = cron.split(" ")
    if len(fields) != 5:
        return f"it has {len(fields)} field{'s' if len(fields) > 1 else ''}"
    if not cron.isascii():
        return "it has other characters than ASCII"
    if any(field[:1] in "RrHh" for field in fields):
        return "a random or hashed field isn't the same everywhere"
    try:
        croniter(cron, datetime(2024, 1, 1)).get_next()
    except (ValueError, KeyError, AttributeError) as error:
        reason = str(error).removeprefix(f"[{cron}] is not acceptable, ")
        return "it never comes" if "next date" in reason else reason
    return ""


def is_timezone(name: str) -> bool:
    """Whether it's a name of the IANA database."""
    return name == "UTC" or name in timezones()


def _timezone(reader: Reader, entries: Mapping[str, Entry], path: str, default: str) -> str:
    value = _field(reader, entries, "timezone", path, default)
    if not value or is_timezone(value):
        return value or default
    near = get_close_matches(value, timezones(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "a name of the IANA database, such as Asia/Shanghai"
    inside = join(path, "timezone")
    reader.problem("timezone", f"unknown time zone '{value}'", inside, entries["timezone"].node, hint)
    return "UTC"


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """Listed once: it walks the whole database."""
    return frozenset(available_timezones())


def _labels(reader: Reader, entries: Mapping[str, Entry], path: str) -> tuple[str, ...]:
    if "labels" not in entries:
        return ()
    node, inside = entries["labels"].node, join(path, "labels")
    if not isinstance(node.value, tuple):
        reader.wrong_type(node, inside, "labels", "a list")
        return ()
    labels = [reader.text(item, join(inside, at), "a label") for at, item in enumerate(node.value)]
    return tuple(label for label in labels if label is not None)
