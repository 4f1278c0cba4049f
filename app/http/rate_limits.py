"""How many requests each key may make of this process (``app.settings.allowance``).

Answers say how it stands, in the fields ``RateLimit-Policy`` and ``RateLimit``
(draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from app.http.api_keys import ANYBODY, Caller
from app.http.problems import HttpProblem
from app.settings.allowance import Allowance
from app.settings.http import HttpSettings

POLICY = "key"
"""The policy's name in the fields."""


class TooManyRequests(HttpProblem):
    """429: the key has used its allowance up."""

    def __init__(self, rate: int, burst: int, wait_s: float) -> None:
        allowed = f"this key may make {rate} requests a second, and {burst} at once"
        super().__init__(429, "Too many requests", f"{allowed}: ask again in {wait_s:.3f} s")
        self.headers["Retry-After"] = str(math.ceil(wait_s))


class RateLimits:
    """Those of all keys, in this process. A request that another process passes on counts here as well."""

    def __init__(self, allowance: Allowance, now_s: Callable[[], float] = time.monotonic) -> None:
        self._allowance = allowance
        self._now_s = now_s
        self._whole_s: dict[str, float] = {}
        """By the key's name."""
        self._window_s = math.ceil(allowance.burst / allowance.rate)

    def take(self, caller: Caller) -> None:
        """Count a request. Raises TooManyRequests. Where no key is asked for nothing is counted."""
        if caller is ANYBODY:
            return
        now_s = self._now_s()
        self._whole_s[caller.name], wait_s = self._allowance.next_s(
            self._whole_s.get(caller.name, now_s), now_s
        )
        if wait_s:
            raise TooManyRequests(self._allowance.rate, self._allowance.burst, wait_s)

    def headers(self, caller: Caller) -> Mapping[str, str]:
        """What an answer to the caller says of its allowance."""
        if caller is ANYBODY:
            return {}
        now_s = self._now_s()
        whole_s = self._whole_s.get(caller.name, now_s)
        left, again_s = self._allowance.left(whole_s, now_s), math.ceil(max(0.0, whole_s - now_s))
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self._allowance.burst};w={self._window_s}',
            "RateLimit": f'"{POLICY}";r={left};t={again_s}',
        }


def rate_limits_of(http: HttpSettings) -> RateLimits | None:
    """None: requests aren't counted."""
    return None if http.allowance is None else RateLimits(http.allowance)
