"""The frame: which users there are, and which of them a sample has.

A user is in a sample of rate r when the hash of the user id is below r of the whole span. So a larger sample
holds every smaller one, no matter in which order the users come, and the same log gives the same sample.
"""

from __future__ import annotations

from hashlib import blake2b
from math import sqrt
from typing import Final

SPAN: Final = 1 << 64
"""Hashes are below it."""
MOST_USERS: Final = 1_000_000
"""That are remembered one by one, about 150 bytes each. Of more users the number is itself an estimate."""
FIRST_USERS: Final = 1_000
"""With fewer users a sample has no say."""


class Frame:
    """The users of a log. From ``most`` users on only those with the smallest hashes are remembered, and the
    number of all is judged by them (M. Wegman's adaptive sampling; P. Flajolet, Computing 43, 1990)."""

    def __init__(self, seed: int = 0, most: int = MOST_USERS) -> None:
        """``seed``: another one gives other samples of the same users."""
        self._key = seed.to_bytes(8, "little")
        self._most = most
        self._known: dict[str, int] = {}
        self._below = SPAN

    def hash_of(self, user_id: str) -> int:
        """The hash of a user, who counts from now on."""
        found = self._known.get(user_id)
        if found is not None:
            return found
        digest = blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()
        found = int.from_bytes(digest, "little")
        if found < self._below:
            self._known[user_id] = found
            if len(self._known) > self._most:
                self._below //= 2
                self._known = {user: each for user, each in self._known.items() if each < self._below}
        return found

    @property
    def users(self) -> int:
        return len(self._known) * SPAN // self._below

    @property
    def spread(self) -> float:
        """Relative standard error of ``users``; 0: they were counted."""
        if self._below == SPAN:
            return 0.0
        return sqrt((1 - self._below / SPAN) / len(self._known))

    def looks(self, exact: bool = False) -> list[int]:
        """The bounds of hashes up to which users are evaluated before one looks: each doubles the sample.

        They depend on the number of users alone, not on what is found of them. The last one is all users.
        """
        bounds = [SPAN]
        while not exact and self.users * bounds[-1] // SPAN >= 2 * FIRST_USERS:
            bounds.append(bounds[-1] // 2)
        return bounds[::-1]
