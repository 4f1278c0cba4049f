"""Warnings as ``/readyz?verbose`` shows them, on the worker and on the delivery worker."""

from __future__ import annotations

from agents.warnings import Warnings
from rules.time.instants import format_instant


def shown_warnings(warnings: Warnings) -> list[dict[str, object]]:
    """JSON objects with code, place, text, count, first and last instant."""
    return [
        {
            "code": each.code,
            "place": each.place,
            "text": each.text,
            "count": each.count,
            "first": format_instant(each.first_ms),
            "last": format_instant(each.last_ms),
        }
        for each in warnings.active()
    ]
