"""How fast a count goes up."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 3.0


class Rate:
    """Per second, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def at(self, now: float, count: int) -> float:
        """The rate now; ``now`` in seconds, of a clock that never goes back."""
        self._samples.append((now, count))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()
        first_at, first = self._samples[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0
