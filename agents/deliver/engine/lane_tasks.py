"""The tasks of a destination's lanes: started, brought to rest, started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from agents.deliver.engine.lanes import Lane

GRACE_SECONDS = 5.0
"""How long sends under way may take when partitions move or the process ends."""


class LaneTasks:
    """A task for each lane. ``run`` is what it does; ``failed`` hears of a bug, and that lane then stands."""

    def __init__(
        self,
        destination: str,
        lanes: Sequence[Lane],
        run: Callable[[Lane], Coroutine[Any, Any, None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._destination = destination
        self._lanes = lanes
        self._run = run
        self._failed = failed
        self._tasks = [self._begun(lane) for lane in lanes]

    async def rest(self) -> None:
        """Finish the sends under way, within a moment; others are cancelled. The lanes are empty then."""
        for lane in self._lanes:
            lane.clear()
        deadline_s = time.monotonic() + GRACE_SECONDS
        for lane in self._lanes:
            await lane.wait_for_send(deadline_s)
        for at, lane in enumerate(self._lanes):
            if lane.is_sending:
                self._tasks[at].cancel()
                await asyncio.wait([self._tasks[at]])
            lane.clear()
            if self._tasks[at].cancelled():
                self._tasks[at] = self._begun(lane)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begun(self, lane: Lane) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(lane), name=f"{self._destination}-{lane.number}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
