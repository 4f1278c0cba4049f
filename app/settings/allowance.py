"""How often something may happen: the generic cell rate algorithm (GCRA; ITU-T I.371, appendix I).

There is one number to keep: the instant at which the whole allowance is there again (the theoretical arrival
time). What happens moves it on by the time that one such thing takes at the rate. What would move it further
away than the whole allowance lasts isn't allowed, and moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_ROUNDING_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Allowance:
    """``rate`` requests a second; ``burst`` at once after a pause that is long enough."""

    rate: int
    burst: int

    def next_s(self, whole_s: float, now_s: float) -> tuple[float, float]:
        """The instant at which the allowance is whole again after a request now, and how long the request
        must wait: above 0 it isn't allowed, and the instant stays. ``whole_s``: the instant before it."""
        after_s = max(whole_s, now_s) + 1 / self.rate
        wait_s = after_s - now_s - self.burst / self.rate
        return (whole_s, wait_s) if wait_s > _ROUNDING_S else (after_s, 0.0)

    def left(self, whole_s: float, now_s: float) -> int:
        """How many requests may come now."""
        return int(self.burst - max(0.0, whole_s - now_s) * self.rate + _ROUNDING_S * self.rate)
