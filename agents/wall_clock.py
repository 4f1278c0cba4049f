"""The wall clock, as far as it can be believed: one that jumps is looked at twice.

Time is an input of everything that is computed, and this is where it comes from. Two questions are answered:
up to when idle partitions may follow (``now_ms``), and which timestamp is too far ahead (``latest_ms``).
What tells a jump from time that passed is the monotonic clock, which nobody sets.

- **Forward** by more than ``max_lead_ms``: ``now_ms`` goes on as if nothing had happened until a reading a
  minute later confirms the jump. Otherwise a moment's wrong reading would fire a year of exits.
- **Back** by more than ``max_lead_ms``: ``now_ms`` follows at once, for partitions' clocks never go back.
- ``latest_ms`` goes by the later one of the reading and the clock as it was before the jump: after a step
  back for a day. A clock that is put right, or wrong, must not turn records of the present into dead letters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agents.warnings import Warnings
from rules.time.instants import format_instant

log = structlog.get_logger("turnstile.clock")

CONFIRM_MS = 60_000
"""A jump forward is followed when it still holds after so long."""
STEPPED_BACK_MS = 86_400_000
"""How long after a step back records are judged by the clock as it was, too."""
JUMPED = "wall_clock_jumped"
STEPPED_BACK = "wall_clock_stepped_back"
_PLACE = "this machine"


def read_wall_ms() -> int:
    return time.time_ns() // 1_000_000


def read_monotonic_ms() -> int:
    """Milliseconds that nobody sets; with the time that the machine slept where the system knows it."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


@dataclass(frozen=True, slots=True)
class _Reading:
    """Both clocks at one moment."""

    wall_ms: int
    monotonic_ms: int

    def at_ms(self, monotonic_ms: int) -> int:
        """The wall clock at another moment, had it not been set since."""
        return self.wall_ms + monotonic_ms - self.monotonic_ms


class WallClock:
    """One machine's wall clock. The first reading is believed: nothing is known before it."""

    def __init__(
        self,
        max_lead_ms: int,
        warnings: Warnings,
        wall_ms: Callable[[], int] = read_wall_ms,
        monotonic_ms: Callable[[], int] = read_monotonic_ms,
    ) -> None:
        self._max_lead_ms = max_lead_ms
        self._warnings = warnings
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._believed = self._read()
        self._jumped: _Reading | None = None
        """The first reading after a jump forward that isn't confirmed yet."""
        self._before: _Reading | None = None
        """The last one that was believed before a step back."""

    def now_ms(self) -> int:
        """The time that idle partitions may follow."""
        reading = self._read()
        return self._believe(reading).at_ms(reading.monotonic_ms)

    def latest_ms(self) -> int:
        """The latest timestamp that a record may have."""
        reading = self._read()
        believed = self._believe(reading)
        latest_ms = max(reading.wall_ms, believed.at_ms(reading.monotonic_ms))
        if self._before is not None:
            latest_ms = max(latest_ms, self._before.at_ms(reading.monotonic_ms))
        return latest_ms + self._max_lead_ms

    def _read(self) -> _Reading:
        return _Reading(self._wall_ms(), self._monotonic_ms())

    def _believe(self, reading: _Reading) -> _Reading:
        """What is believed now."""
        self._forget_step(reading)
        ahead_ms = reading.wall_ms - self._believed.at_ms(reading.monotonic_ms)
        if ahead_ms > self._max_lead_ms:
            if not self._is_confirmed(reading, ahead_ms):
                return self._believed
            log.warning("wall_clock_followed", ahead_ms=ahead_ms, now=format_instant(reading.wall_ms))
        elif ahead_ms < -self._max_lead_ms:
            self._step_back(reading, -ahead_ms)
        if self._jumped is not None:
            self._jumped = None
            self._warnings.clear(JUMPED, _PLACE)
        self._believed = reading
        return reading

    def _is_confirmed(self, reading: _Reading, ahead_ms: int) -> bool:
        first = self._jumped
        if first is None or abs(reading.wall_ms - first.at_ms(reading.monotonic_ms)) > self._max_lead_ms:
            self._jumped = reading
            self._warnings.note(
                JUMPED,
                _PLACE,
                f"the wall clock jumped forward by {ahead_ms / 1000:.0f} s, to "
                f"{format_instant(reading.wall_ms)}: it is not followed until it still says so in "
                f"{CONFIRM_MS // 1000} s (clock.max_lead_ms allows {self._max_lead_ms} ms)",
            )
            return False
        return reading.monotonic_ms - first.monotonic_ms >= CONFIRM_MS

    def _step_back(self, reading: _Reading, by_ms: int) -> None:
        if self._before is None or self._before.at_ms(0) < self._believed.at_ms(0):
            self._before = self._believed
        self._warnings.note(
            STEPPED_BACK,
            _PLACE,
            f"the wall clock went back by {by_ms / 1000:.0f} s, to {format_instant(reading.wall_ms)}: until "
            "it is there again no exit by time comes out of partitions that were at the end of their log; "
            f"for {STEPPED_BACK_MS // 3_600_000} h timestamps are also judged by the clock as it was",
        )

    def _forget_step(self, reading: _Reading) -> None:
        """When the wall clock is where it was, or a day has passed."""
        before = self._before
        if before is not None and (
            reading.wall_ms >= before.at_ms(reading.monotonic_ms) - self._max_lead_ms
            or reading.monotonic_ms - before.monotonic_ms > STEPPED_BACK_MS
        ):
            self._before = None
            self._warnings.clear(STEPPED_BACK, _PLACE)
