"""Instants (UTC ms) and durations (ms)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""Of the years 1 to 9999."""
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
RFC_3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


def instant_text(ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def duration_ms(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d|w)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def instant_ms(value: object) -> int | None:
    """Of RFC 3339 text, a date (its midnight in UTC), or a number: ms, below 10^11 seconds. Else None."""
    if isinstance(value, str):
        return text_ms(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 1000 if value < 10**11 else value)
    return None


def date_ms(value: object) -> int | None:
    """What date operators hold against a clock: text, or a number; every negative number is seconds."""
    if isinstance(value, str):
        return text_ms(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != float("inf"):
        return int(value * 1000 if value < 10**11 else value)
    return None


@cache
def text_ms(text: str) -> int | None:
    """Of RFC 3339 text or a date; None for any other text."""
    try:
        if DATE.fullmatch(text):
            return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
        found = RFC_3339.fullmatch(text)
        if not found:
            return None
        date, time, fraction, sign, hours, minutes = found.groups()
        utc = datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=UTC)
        ms = (utc - EPOCH) // timedelta(milliseconds=1) + int((fraction or "0")[:3].ljust(3, "0"))
    except ValueError:
        return None
    if sign is None:
        return ms
    if int(hours) > 23 or int(minutes) > 59:
        return None
    offset = (int(hours) * 60 + int(minutes)) * 60_000
    return ms - offset if sign == "+" else ms + offset
