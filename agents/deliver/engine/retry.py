"""When to try again, and how fast to go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from agents.deliver.definitions.destination import RetryPolicy

BURST_SECONDS = 0.1
"""A rate is held over stretches of this length."""


def pause_s(retry: RetryPolicy, failures: int, random: Random, least_s: float | None = None) -> float:
    """Seconds until the next attempt after ``failures`` (from 1) in a row: doubled each time, up to
    ``retry.most_ms``, of which between half and all is taken at random; ``least_s`` is what was asked for.
    """
    longest: float = min(retry.most_ms, retry.first_ms * 2 ** min(failures - 1, 40)) / 1000
    return max(least_s or 0.0, longest * random.uniform(0.5, 1.0))


class Pace:
    """No more than ``rate`` a second."""

    def __init__(self, rate: float | None, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._next = now()

    async def take(self, count: int) -> None:
        """Wait for the turn of ``count`` more."""
        if self._rate is None:
            return
        now = self._now()
        self._next = max(self._next, now - BURST_SECONDS)
        wait = self._next - now
        self._next += count / self._rate
        if wait > 0:
            await asyncio.sleep(wait)
