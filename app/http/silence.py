"""Processes that didn't answer: where somebody else can, nobody waits for them again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

AGAIN_SECONDS: Final = 1.0
"""After so long one request tries again."""


class Silence:
    """Who was silent lately, by origin (``http://host:port``). ``now``: seconds that never go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def note(self, origin: str) -> None:
        """It didn't answer."""
        self._until[origin] = self._now() + AGAIN_SECONDS

    def heard(self, origin: str) -> None:
        """It answered."""
        self._until.pop(origin, None)

    def may_ask(self, origin: str) -> bool:
        """Whether to ask it now. Of those who come after a silence, one is told to try."""
        until = self._until.get(origin)
        if until is None:
            return True
        if self._now() < until:
            return False
        self.note(origin)
        return True
