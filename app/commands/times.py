"""Instants as options give them: by a clock, or as a time from now."""

from __future__ import annotations

from datetime import datetime


def instant_ms(text: str, now_ms: int, *, ago: bool = False) -> int | None:
    """Of ``90d`` (from now on, or ``ago``) and of ``2027-01-31T00:00:00Z``; None: it is neither."""
    from rules.time.durations import parse_duration

    try:
        length_ms = parse_duration(text)
    except ValueError:
        pass
    else:
        return now_ms - length_ms if ago else now_ms + length_ms
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else int(found.timestamp() * 1000)
