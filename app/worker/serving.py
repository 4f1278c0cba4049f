"""What starts and stops the HTTP side of a process that answers lookups: a worker, or a reader."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from prometheus_client import Counter

from app.http.base import HttpBase
from app.http.forwarding import Forwarding
from app.live.routes import LiveFeeds
from app.lookup.metrics import LookupMetrics
from app.sensors.exists import ONLINE


class Closing(Protocol):
    def close(self) -> None: ...


class ServesLookups:
    """The parts, which a subclass makes. They stop in the other order: whoever asks others comes to an end
    first."""

    _base: HttpBase
    _live: LiveFeeds
    _forwarding: Sequence[Forwarding]
    _definitions: Closing

    def __init__(self, metrics: LookupMetrics) -> None:
        self._metrics = metrics
        self._uncounted: Collection[str] = ()
        """Paths that are no lookups."""
        self._counts: dict[tuple[str, int], Counter | None] = {}

    @property
    def url(self) -> str:
        return self._base.url

    async def start(self) -> None:
        """Raises CommandFailed when it can't listen."""
        for each in self._forwarding:
            await each.start()
        await self._base.start()

    async def stop(self) -> None:
        self._live.close()
        await self._base.stop()
        for each in self._forwarding:
            await each.stop()
        self._definitions.close()

    def _answered(self, route: str, status: int, seconds: float) -> None:
        try:
            count = self._counts[route, status]
        except KeyError:
            count = self._counts[route, status] = self._count_of(route, status)
        if count is not None:
            count.inc()
            self._metrics.lookup_seconds.observe(seconds)

    def _count_of(self, route: str, status: int) -> Counter | None:
        """None: the route is no lookup."""
        if not route.startswith(("/v1/", ONLINE)) or route in self._uncounted:
            return None
        return self._metrics.lookups.labels(route.replace(":[^/]+", ""), str(status))
