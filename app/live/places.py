"""How many live feeds a process serves at once: each has a Kafka consumer of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.http.api_keys import Caller
from app.http.problems import HttpProblem

MOST = 64
MOST_OF_A_KEY = 8
RETRY_SECONDS = "5"


class Places:
    """Those of one process. Where no key is asked for, all callers are one."""

    def __init__(self, most: int = MOST, most_of_a_key: int = MOST_OF_A_KEY) -> None:
        self._most = most
        self._most_of_a_key = most_of_a_key
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._taken.total()

    @contextmanager
    def one_for(self, caller: Caller) -> Iterator[None]:
        """A place until the end. Raises HttpProblem: 429 with ``Retry-After``, which says what is allowed."""
        if self._taken[caller.name] >= self._most_of_a_key:
            raise _none_left(
                f"this key has {self._most_of_a_key} live feeds here, which is what a key may have"
            )
        if self.taken >= self._most:
            raise _none_left(f"this process serves {self._most} live feeds, which is what it may serve")
        self._taken[caller.name] += 1
        try:
            yield
        finally:
            self._taken[caller.name] -= 1
            self._taken += Counter()  # without the names of those who have none


def _none_left(detail: str) -> HttpProblem:
    problem = HttpProblem(429, "Too many live feeds", detail)
    problem.headers["Retry-After"] = RETRY_SECONDS
    return problem
