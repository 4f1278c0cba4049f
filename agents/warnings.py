"""What an operator should know although the process goes on: shown in ``/readyz?verbose``, counted, logged.

A record on an internal topic that can't be used, unread records that retention took, a clock that is not
followed: none of these may stop a worker, and none may be silent.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("turnstile.warnings")

PLACES = 100
"""Places kept per code; further ones are counted together, so that memory stays bounded."""
OTHERS = "other places"
LOG_SECONDS = 60.0
"""A code at a place is logged at most once in this time."""


@dataclass(slots=True)
class ActiveWarning:
    """One thing to know. ``code`` is stable, ``place`` says where (topic/partition, key)."""

    code: str
    place: str
    text: str
    count: int
    first_ms: int
    last_ms: int


class Warnings:
    """The warnings of one process. Not thread-safe."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._wall_ms = wall_ms
        self._active: dict[tuple[str, str], ActiveWarning] = {}
        self._logged_ms: dict[tuple[str, str], int] = {}
        self.totals: Counter[str] = Counter()
        """Per code, how often since the start; never goes back, also when a warning is cleared."""

    def note(self, code: str, place: str, text: str, count: int = 1) -> None:
        """Something happened, ``count`` times; ``text`` is one sentence for people."""
        now_ms = self._wall_ms()
        self.totals[code] += count
        if (code, place) not in self._active and self._places(code) >= PLACES:
            place = OTHERS
        known = self._active.get((code, place))
        if known is None:
            known = self._active[code, place] = ActiveWarning(code, place, text, 0, now_ms, now_ms)
        known.count += count
        known.text, known.last_ms = text, now_ms
        logged_ms = self._logged_ms.get((code, place))
        if logged_ms is None or now_ms - logged_ms >= LOG_SECONDS * 1000:
            self._logged_ms[code, place] = now_ms
            log.error(code, place=place, text=text, count=known.count)

    def clear(self, code: str, place: str, text: str = "") -> None:
        """The cause is gone: the warning is no longer shown. Its total stays. ``text`` is for the log."""
        if self._active.pop((code, place), None) is not None:
            self._logged_ms.pop((code, place), None)
            log.info("warning_over", code=code, place=place, **({"text": text} if text else {}))

    def active(self) -> list[ActiveWarning]:
        """All that were not cleared, by code and place."""
        return [each for _, each in sorted(self._active.items())]

    def _places(self, code: str) -> int:
        return sum(each == code for each, _ in self._active)
