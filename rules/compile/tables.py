"""Time zones and case folding as tables, so that this Python's ``zoneinfo`` and ``str`` rule both engines.

A zone's table has every change of its offset up to the year 2500. From there on a zone does what it did 400
years before: days, weeks and leap years come again then, and zones have no other rules so far ahead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from rules.time.instants import MIN_MS

ZoneTable: TypeAlias = tuple[tuple[int, int], ...]
"""(first instant in UTC, offset from UTC from then on), both in ms, ascending from the year 1 on."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_DAY_S: Final = 86_400
_STRETCHES: Final = (
    (datetime(1800, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), 3 * _DAY_S),
    (datetime(2100, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC), 28 * _DAY_S),
)
"""(from, to, s from one look to the next): an offset that was set by law held for at least 95 hours in every
zone, and those that a rule will set hold for months. Before 1800 clocks showed local mean time."""


@cache
def zone_table(zone: str) -> ZoneTable:
    """The offsets of an IANA time zone; empty for UTC. Raises ``zoneinfo.ZoneInfoNotFoundError``."""
    if zone == "UTC":
        return ()
    info = ZoneInfo(zone)
    found = [(MIN_MS, _offset_ms(info, _seconds(_STRETCHES[0][0])))]
    found += [(second * 1000, _offset_ms(info, second)) for second in _changes(info)]
    return tuple(found)


def _changes(info: ZoneInfo) -> Iterator[int]:
    """The first second of each offset."""
    for begin, end, step in _STRETCHES:
        before = _seconds(begin)
        offset_ms = _offset_ms(info, before)
        while before < _seconds(end):
            after = min(before + step, _seconds(end))
            if (shown_ms := _offset_ms(info, after)) != offset_ms:
                yield _change(info, before, after)
                offset_ms = shown_ms
            before = after


def _change(info: ZoneInfo, before: int, after: int) -> int:
    shown_ms = _offset_ms(info, after)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_ms(info, middle) == shown_ms:
            after = middle
        else:
            before = middle
    return after


def _offset_ms(info: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, info).utcoffset()
    assert offset is not None
    return offset // _SECOND * 1000


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _SECOND


@cache
def case_folds() -> Mapping[str, str]:
    """The characters of which ``str.casefold`` makes another text, and that text."""
    characters = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    return {each: folded for each in characters if (folded := each.casefold()) != each}
