"""Sizes by day: how many are in an audience at the end of each day of its zone's calendar.

What happens strictly before a midnight belongs to the day before it. So a day's size is that which
``turnstile simulate --until`` gives for the midnight at which the day ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

from rules.time.calendar import calendar_of


class Daily:
    """Adds transitions up, in any order."""

    def __init__(self, zone: str) -> None:
        self._calendar = calendar_of(zone)
        self._net: Counter[int] = Counter()
        """Enters less exits, by day."""

    def add(self, at_ms: int, is_enter: bool) -> None:
        self._net[self._calendar.period("day", at_ms)] += 1 if is_enter else -1

    @property
    def first_ms(self) -> int | None:
        """The beginning of the first day with a transition."""
        return self._calendar.start("day", min(self._net)) if self._net else None

    def sizes(self, from_ms: int, to_ms: int) -> Iterator[tuple[date, int]]:
        """Each day from that of ``from_ms`` on, with the size at its end; of ``to_ms``'s day as of then."""
        first, last = (self._calendar.period("day", at_ms) for at_ms in (from_ms, to_ms))
        size = sum(each for day, each in self._net.items() if day < first)
        for day in range(first, last + 1):
            size += self._net[day]
            yield date.fromordinal(day), size

    def days_before(self, at_ms: int, days: int) -> int:
        """The beginning of the day that is so many days before that of an instant (ms)."""
        return self._calendar.start("day", self._calendar.period("day", at_ms) - days)
