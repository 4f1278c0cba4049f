"""Durations: an integer and a unit, ``500ms 30s 5m 12h 7d 2w`` (docs/semantics.md, section 3)."""

from __future__ import annotations

import re
from typing import Final

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

LONGEST_MS: Final = 36_500 * UNITS_MS["d"]
"""A century: instants plus or minus a duration then stay well inside what RFC 3339 can write."""

_DURATION = re.compile(r"(\d{1,15})(ms|s|m|h|d|w)", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of a positive duration. Raises ValueError, saying what is wrong with it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is an integer and a unit, such as 500ms 30s 5m 12h 7d 2w")
    ms = int(match[1]) * UNITS_MS[match[2]]
    if ms == 0:
        raise ValueError("a duration must be longer than zero")
    if ms > LONGEST_MS:
        raise ValueError("a duration is at most 36500d")
    return ms


def format_duration(ms: int) -> str:
    """The text in the largest whole unit up to days; ``parse_duration`` gives ``ms`` back."""
    for unit in ("d", "h", "m", "s"):
        if ms % UNITS_MS[unit] == 0:
            return f"{ms // UNITS_MS[unit]}{unit}"
    return f"{ms}ms"
