"""Instants: integer UTC milliseconds inside, RFC 3339 at the edges (docs/semantics.md, section 1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

SECONDS_BELOW = 10**11
"""A number below this is epoch seconds, also a negative one; otherwise it is milliseconds (section 1)."""

SECONDS_A_DAY = 86_400

MIN_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z
MAX_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

DATE_LENGTH: Final = len("2024-05-01")
"""Of what ``parse_instant`` takes, text of this length is a date."""

FAR_MS: Final = 1 << 61
"""Later than every instant, and in sums with durations too: never. ``-FAR_MS`` is earlier than every one."""

_FRACTIONS = [f".{ms:03d}Z" for ms in range(1000)]

_TIME = re.compile(r"[Tt ](\d{2}):(\d{2}):(\d{2})", re.ASCII)
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
        if (
            len(value) == 24
            and value[10] == "T"
            and value[19] == "."
            and value[23] == "Z"
            and value[5] != "W"  # ISO 8601 has weeks and an hour 24, RFC 3339 has not
            and value[11:13] != "24"
        ):
            # What our own outputs and most producers write.
            try:
                return round(datetime.fromisoformat(value).timestamp() * 1000)
            except ValueError:
                pass  # the long way tells
        match = _REST.fullmatch(value, 19)
        if match is None:
            if len(value) == 10:
                return _day_ms(value)
            raise InstantInvalid(f"{value[:64]!r} is not an RFC 3339 instant")
        digits, offset = match.groups()
        ms = _day_ms(value[:10]) + _time_ms(value[10:19]) - _offset_ms(offset)
        if digits:
            ms += int(digits[:3].ljust(3, "0"))
        if not MIN_MS <= ms <= MAX_MS:
            raise InstantInvalid(f"{value!r} is outside the years 1 to 9999")
        return ms
    if type(value) is int or type(value) is float:
        number = value if value >= SECONDS_BELOW else value * 1000
        if not MIN_MS <= number <= MAX_MS:  # nor when it is not a number
            raise InstantInvalid(f"{str(value)[:40]} is outside the years 1 to 9999")
        return int(number)
    raise InstantInvalid(f"an instant is an RFC 3339 string or a number, not {type(value).__name__}")


def number_ms(number: float | int) -> int:
    """The instant of an epoch number, in whatever year. Raises ValueError or OverflowError if not finite."""
    if number >= SECONDS_BELOW:
        return int(number)
    return int(number * 1000) if number > -SECONDS_BELOW else int(number) * 1000


@lru_cache(maxsize=8192)
def _day_ms(date: str) -> int:
    """UTC midnight of ``YYYY-MM-DD``; cached, because most records share theirs with others."""
    if _DATE.fullmatch(date) is None:
        raise InstantInvalid(f"{date[:64]!r} is not an RFC 3339 date")
    try:
        return (datetime.fromisoformat(date).replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
    except ValueError as error:
        raise InstantInvalid(f"{date} is not a date: {error}") from None


@lru_cache(maxsize=SECONDS_A_DAY)
def _time_ms(time: str) -> int:
    """Milliseconds since midnight of ``THH:MM:SS``."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise InstantInvalid(f"{time!r} is not the time of an RFC 3339 instant")
    hour, minute, second = map(int, match.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise InstantInvalid(f"{time!r} is not a time of day")
    return ((hour * 60 + minute) * 60 + second) * 1000


@lru_cache(maxsize=8192)
def _offset_ms(offset: str) -> int:
    """What ``Z`` or ``+HH:MM`` adds to UTC."""
    if offset in "Zz":
        return 0
    hour, minute = int(offset[1:3]), int(offset[4:6])
    if hour > 23 or minute > 59:
        raise InstantInvalid(f"{offset!r} is not an offset from UTC")
    minutes = hour * 60 + minute
    return (minutes if offset[0] == "+" else -minutes) * 60_000


def format_instant(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as every output writes it; beyond the year 9999 its last one."""
    if not MIN_MS <= ms <= MAX_MS:
        ms = min(max(ms, MIN_MS), MAX_MS)
    return _second_text(ms // 1000) + _FRACTIONS[ms % 1000]


@lru_cache(maxsize=1 << 16)
def _second_text(second: int) -> str:
    day, second = divmod(second, SECONDS_A_DAY)
    return f"{_day_text(day)}T{_time_text(second)}"


@lru_cache(maxsize=8192)
def _day_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


@lru_cache(maxsize=SECONDS_A_DAY)
def _time_text(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
