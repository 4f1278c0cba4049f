"""One of the audiences is published when half of the log has gone by, as audiences are in real life.

The log stands still until it is there. A worker has live records come first, so on a slow machine that
has no time left beside the replay it would come only after the log's end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from agents.backfill.progress.progress import VersionState
from app.demo.replay import PurchaseReplay
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience

HALFWAY: Final = "big_spenders"
"""The audience: it looks back 180 days."""
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Arrival:
    """``date_ms``: what the log had come to when it was published; ``seconds`` until it was ready."""

    date_ms: int
    seconds: float


class Halfway:
    """Publishes the audience, and says when it is there with its members."""

    def __init__(
        self,
        audience: Audience,
        replay: PurchaseReplay,
        publish: Callable[[PublishedAudience], Awaitable[None]],
        state: Callable[[], VersionState],
    ) -> None:
        self.audience = audience
        self.arrival: Arrival | None = None
        self.is_published = False
        self._replay = replay
        self._publish = publish
        self._state = state

    @property
    def told(self) -> str:
        """What the worker does for it now; empty: nothing."""
        if not self.is_published or self.arrival is not None:
            return ""
        return f"computing {self.audience.name} from the history, {int(100 * self._state().progress)} %"

    async def run(self) -> None:
        """Wait for its moment, publish it, and wait until it is ready."""
        replay = self._replay
        while replay.date_ms < replay.middle_ms:
            await asyncio.sleep(LOOK_SECONDS)
        date_ms, began = replay.date_ms, time.monotonic()
        await self._publish(PublishedAudience(self.audience, 1))
        self.is_published = True
        while not self._state().is_ready:
            await asyncio.sleep(LOOK_SECONDS)
        self.arrival = Arrival(date_ms, time.monotonic() - began)
        replay.go_on(self.arrival.seconds)
