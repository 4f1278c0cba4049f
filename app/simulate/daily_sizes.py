"""Sizes by day of a simulation: what ``simulate --daily`` writes and tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from agents.estimate.daily import Daily
from rules.model.language import Audience

TOLD_DAYS = 14
"""In the table; the file has all."""


def daily_document(
    audiences: Sequence[Audience], daily: Mapping[tuple[str, str], Daily], from_ms: int, to_ms: int
) -> dict[str, object]:
    """``{"audiences": [{project, audience, timezone, days: [{day, users}]}]}``, from the first record's day
    to the day at which time stopped. The size is that at the day's end; of the last day, as of then."""
    return {
        "audiences": [
            {
                "project": each.project,
                "audience": each.id,
                "timezone": each.timezone,
                "days": [
                    {"day": day.isoformat(), "users": users}
                    for day, users in daily[each.project, each.id].sizes(from_ms, to_ms)
                ],
            }
            for each in _in_order(audiences)
        ]
    }


def daily_rows(
    audiences: Sequence[Audience], daily: Mapping[tuple[str, str], Daily], from_ms: int, to_ms: int
) -> Iterator[Sequence[str]]:
    """A table of the last days: one row a day, one column an audience."""
    ordered = _in_order(audiences)
    sizes = [dict(daily[each.project, each.id].sizes(from_ms, to_ms)) for each in ordered]
    days: list[date] = sorted({day for each in sizes for day in each})[-TOLD_DAYS:]
    yield ("day", *(f"{each.project}/{each.id}" for each in ordered))
    for day in days:
        yield (day.isoformat(), *(str(each.get(day, "")) for each in sizes))


def _in_order(audiences: Sequence[Audience]) -> list[Audience]:
    return sorted(audiences, key=lambda each: (each.project, each.id))
