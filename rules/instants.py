"""Instants: integer UTC milliseconds inside, RFC 3339 at the edges (spec: rules.md, section 1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECONDS_BELOW = 10**11
"""A number smaller than this is epoch seconds, otherwise milliseconds (spec: rules.md, section 1)."""

MIN_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z
MAX_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_SECOND = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class InstantInvalid(ValueError):
    """The value is not an instant: neither RFC 3339 with an offset, nor a date, nor an epoch number."""


def parse_instant(value: object) -> int:
    """Milliseconds since 1970 UTC of an RFC 3339 string, a date (its UTC midnight) or an epoch number.

    Fractions are truncated to milliseconds. Raises InstantInvalid.
    """
    if type(value) is str:
        if len(value) == 24 and value[19] == "." and value[23] == "Z":
            fraction = value[20:23]  # what our own outputs and most producers write
            if fraction.isdigit() and fraction.isascii():
                return _second_ms(value[:19], "Z") + int(fraction)
        match = _REST.fullmatch(value, 19)
        if match is None:
            if _DATE.fullmatch(value):
                return _second_ms(value + "T00:00:00", "Z")
            raise InstantInvalid(f"{value[:64]!r} is not an RFC 3339 instant")
        digits, offset = match.groups()
        ms = _second_ms(value[:19], offset) + (int(digits[:3].ljust(3, "0")) if digits else 0)
        if not MIN_MS <= ms <= MAX_MS:
            raise InstantInvalid(f"{value!r} is outside the years 1 to 9999")
        return ms
    if type(value) is int or type(value) is float:
        number = value if abs(value) >= SECONDS_BELOW else value * 1000
        if not MIN_MS <= number <= MAX_MS:  # nor when it is not a number
            raise InstantInvalid(f"{str(value)[:40]} is outside the years 1 to 9999")
        return int(number)
    raise InstantInvalid(f"an instant is an RFC 3339 string or a number, not {type(value).__name__}")


@lru_cache(maxsize=8192)
def _second_ms(second: str, offset: str) -> int:
    """``YYYY-MM-DDTHH:MM:SS`` and an offset; cached, for the records of one second share it."""
    if _SECOND.fullmatch(second) is None:
        raise InstantInvalid(f"{second!r} is not an RFC 3339 instant")
    try:
        moment = datetime.fromisoformat(second.upper() + ("+00:00" if offset in "Zz" else offset))
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise InstantInvalid(f"{second}{offset} is not an instant: {error}") from None


def format_instant(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as every output writes it; beyond the year 9999 its last one."""
    second, rest = divmod(min(max(ms, MIN_MS), MAX_MS), 1000)
    return f"{_second_text(second)}.{rest:03d}Z"


@lru_cache(maxsize=8192)
def _second_text(second: int) -> str:
    moment = _EPOCH + timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
