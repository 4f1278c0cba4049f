"""A lane: one partition's pipeline and the queue of its steps on their way to Kafka and the store.

Steps are computed one after the other and committed in the same order; while one waits for
acknowledgements the next may compute. At most ``IN_FLIGHT`` are on their way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.commits import Committer
from agents.pipeline import Pipeline, Step

IN_FLIGHT = 3
"""Steps of one partition between computing and the ack. Two keep the processor busy; one more absorbs
a slow acknowledgement."""

Ack = Callable[[], object]


class Lane:
    """Owns one ``Pipeline``. ``failed`` is called once, with the exception that stopped the lane."""

    def __init__(
        self, pipeline: Pipeline, committer: Committer, failed: Callable[[BaseException], None]
    ) -> None:
        self.pipeline = pipeline
        self.computing = asyncio.Lock()
        """Held while a step is computed in slices."""
        self.open = True
        self._committer = committer
        self._failed = failed
        self._steps: asyncio.Queue[tuple[Step, Ack | None]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._run(), name=f"lane-{pipeline.place.partition}")

    @property
    def busy(self) -> bool:
        """Some steps are not yet durable."""
        return not self._idle.is_set()

    @property
    def has_slot(self) -> bool:
        return not self._slots.locked()

    async def slot(self) -> None:
        """Wait until another step may be computed. Each call must be followed by one ``submit``."""
        await self._slots.acquire()

    def submit(self, step: Step, ack: Ack | None = None) -> None:
        self._idle.clear()
        self._steps.put_nowait((step, ack))

    def release(self) -> None:
        """Give back a slot for which no step came."""
        self._slots.release()

    async def _run(self) -> None:
        try:
            while True:
                step, ack = await self._steps.get()
                await self._committer.commit(self.pipeline, step, ack)
                self._slots.release()
                if self._steps.empty():
                    self._idle.set()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.open = False
            self._failed(error)

    async def drained(self) -> None:
        """Wait until every submitted step is durable. Returns at once when the lane has failed."""
        waiting = asyncio.create_task(self._idle.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def close(self) -> None:
        """Stop the lane and close its store. Steps that were not drained are forgotten."""
        self.open = False
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.pipeline.profiles.store.close()
