"""How large a set of users is, judged by a sample of them: an estimate with the interval that holds it.

A sample is every user whose hash is below a bound, so of ``users`` users it is a simple random sample without
replacement of ``sampled`` ones. The interval is Wilson's (E. B. Wilson, "Probable inference, the law of
succession, and statistical inference", JASA 22, 1927) with the continuity correction (R. G. Newcombe,
"Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, method 4) and the
correction for finite populations (W. G. Cochran, "Sampling Techniques", 1977, section 2.8).

Whoever looks several times, and stops at the first look that is precise enough, is wrong more often than one
look is. So each of ``looks`` looks gets an equal share of the 5 % (C. E. Bonferroni's inequality).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sized:
    """A number of users: ``low <= users <= high`` with 95 % confidence; a point where all were evaluated."""

    users: int
    low: int
    high: int

    @property
    def is_exact(self) -> bool:
        return self.low == self.high

    def is_within(self, error: float, of: float | None = None) -> bool:
        """Whether neither end is further off than this share of ``of`` (None: of the estimate itself)."""
        most = error * (self.users if of is None else of)
        return max(self.high - self.users, self.users - self.low) <= most


@dataclass(frozen=True, slots=True)
class Sample:
    """How many of how many users are evaluated. ``spread``: the relative standard error of ``users``, which
    is 0 where they were counted."""

    users: int
    sampled: int
    looks: int = 1
    spread: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.sampled >= self.users

    def sized(self, found: int) -> Sized:
        """The size of a set that has ``found`` of the sampled users."""
        if self.is_whole:
            return Sized(found, found, found)
        if self.sampled == 0:
            return Sized(0, 0, self.users)
        z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / self.looks / 2)
        share = found / self.sampled
        effective = self.sampled * (self.users - 1) / (self.users - self.sampled)
        correction = 1 / (2 * self.sampled)
        low = _wilson(max(0.0, share - correction), effective, -z) if found else 0.0
        high = _wilson(min(1.0, share + correction), effective, z) if found < self.sampled else 1.0
        unseen = self.users - self.sampled
        return Sized(
            round(self.users * share),
            max(found, int(self.users * low * (1 - z * self.spread))),
            min(found + unseen, -int(-self.users * high * (1 + z * self.spread) // 1)),
        )


def _wilson(share: float, sampled: float, z: float) -> float:
    """One end of Wilson's interval: the lower one for a negative ``z``."""
    z2 = z * z
    middle = share + z2 / (2 * sampled)
    return (middle + z * sqrt(share * (1 - share) / sampled + z2 / (4 * sampled * sampled))) / (
        1 + z2 / sampled
    )
