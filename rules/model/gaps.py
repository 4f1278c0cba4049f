"""The longest time between two compute instants of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from croniter import CroniterBadDateError, croniter

from rules.model.language import Schedule

_DAY: Final = timedelta(days=1)
_LONGEST: Final[Mapping[str, timedelta]] = {
    "once": timedelta(),
    "daily": _DAY,
    "weekly": 7 * _DAY,
    "monthly": 31 * _DAY,
}
_DAYS_LOOKED_AT: Final = 1_500
"""Four years where nearly every day has an instant; more where few have."""


@lru_cache(maxsize=1024)
def longest_gap_ms(schedule: Schedule) -> int:
    """The longest time from one compute instant to the next, on a clock that nobody changes.

    That of a cron expression is found by looking: the gap between days, and a day more because times of a day
    don't matter then. The days looked at begin with 2096, because 2100 has no 29 February.
    """
    longest = _LONGEST[schedule.kind] if schedule.kind != "cron" else _between_days(schedule.cron) + _DAY
    return longest // timedelta(milliseconds=1)


def _between_days(cron: str) -> timedelta:
    days = cron.split(maxsplit=2)[2]
    longest = _DAY
    if days == "* * *":
        return longest
    each, before = croniter(f"0 0 {days}", datetime(2095, 12, 31)), None
    with suppress(CroniterBadDateError, ValueError, OverflowError):
        for _ in range(_DAYS_LOOKED_AT):
            day: datetime = each.get_next(datetime)
            longest, before = max(longest, _DAY if before is None else day - before), day
    return longest
