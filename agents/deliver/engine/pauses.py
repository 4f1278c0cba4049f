"""When lanes pause after failures, and what ends a pause. Times are seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from agents.deliver.content.messages import Message
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.retry import pause_s

SILENCE_SECONDS = 5.0
"""A success after so long without one is news to all lanes."""


class Pauses:
    """Those of one destination's ``lanes``."""

    def __init__(self, retry: RetryPolicy, lanes: Sequence[Lane], random: Random, now_s: float) -> None:
        self.last_success_s = now_s
        self._retry = retry
        self._lanes = lanes
        self._random = random
        self._asked_until_s = 0.0
        """The destination asked for a pause of all lanes until then."""

    def succeeded(self, lane: Lane, now_s: float) -> None:
        """Something was taken: after a silence nobody waits out a pause that began during it."""
        lane.succeeded()
        if now_s - self.last_success_s > SILENCE_SECONDS:
            # It may have answered one request while it asked for a pause in the answer to another.
            earliest_s = max(now_s, self._asked_until_s)
            for each in self._lanes:
                each.revive(earliest_s + self._random.uniform(0.0, 0.2))
        self.last_success_s = now_s

    def park(self, lane: Lane, users: Collection[list[Message]], least_s: float | None, now_s: float) -> None:
        """Have users whose messages failed wait apart from the others."""
        for messages in users:
            lane.park(messages, now_s + pause_s(self._retry, messages[0].attempts, self._random, least_s))

    def pause(self, lane: Lane, whole: bool, least_s: float | None, now_s: float) -> None:
        """Pause the lane; all of them where the destination asked for it and for how long."""
        for_all = whole and bool(least_s)
        if for_all:
            self._asked_until_s = max(self._asked_until_s, now_s + (least_s or 0.0))
        pause = pause_s(self._retry, max(1, lane.failures), self._random, least_s)
        for each in self._lanes if for_all else [lane]:
            each.pause(now_s + pause)
