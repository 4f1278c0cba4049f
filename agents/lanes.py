"""A lane: one partition's records on their way through its pipeline to Kafka and the store.

What arrives while steps are under way waits and then goes into one step together, so that steps grow
when Kafka is slow and stay small when it is not. Steps are computed one after the other and committed in
the same order; while one waits for acknowledgements the next is computed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from agents.commits import Committer
from agents.pipeline import Pipeline, Record, Step

IN_FLIGHT = 2
"""Steps between computing and the ack: one that waits for Kafka, one that is computed meanwhile."""
SLICE = 500
"""Records or users per computation, some milliseconds: lookups and other lanes get their turn between."""
STEP_RECORDS = 4_000
"""After so many records a step takes no further batch."""
WAITING_RECORDS = 8_000
"""With so many records waiting the lane takes no more, and Faust stops polling before long."""

Ack = Callable[[], object]


class Lane:
    """Owns one ``Pipeline``. ``failed`` is called with the exception that stopped the lane."""

    def __init__(
        self,
        pipeline: Pipeline,
        committer: Committer,
        paused: Callable[[], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.pipeline = pipeline
        self.computing = asyncio.Lock()
        """Held while a step is computed in slices."""
        self.open = True
        self._committer = committer
        self._paused = paused
        self._failed = failed
        self._waiting: deque[tuple[Sequence[Record], Ack]] = deque()
        self._waiting_records = 0
        self._offered = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._steps: asyncio.Queue[tuple[Step, list[Ack]]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._open_work = 0  # batches waiting and steps under way
        self._idle = asyncio.Event()
        self._idle.set()
        name = f"lane-{pipeline.place.partition}"
        self._tasks = [
            asyncio.create_task(self._guard(self._compute), name=f"{name}-compute"),
            asyncio.create_task(self._guard(self._commit), name=f"{name}-commit"),
        ]

    @property
    def busy(self) -> bool:
        """Some records or steps are not yet durable."""
        return not self._idle.is_set()

    async def offer(self, records: Sequence[Record], ack: Ack) -> None:
        """Take a batch of one source partition; ``ack`` is called when all of it is durable."""
        await self._room.wait()
        self._waiting.append((records, ack))
        self._waiting_records += len(records)
        if self._waiting_records >= WAITING_RECORDS:
            self._room.clear()
        self._begun()
        self._offered.set()

    # -- steps of other kinds ------------------------------------------------------------------------

    @property
    def has_slot(self) -> bool:
        """A step could be computed now without waiting."""
        return self.open and not self._slots.locked() and not self.computing.locked()

    async def step(self, compute: Callable[[], Step]) -> None:
        """Compute a step of time or of a sweep, and send it on its way."""
        async with self.computing:
            await self._slots.acquire()
            if self.open:
                self._submit(compute(), [])

    # -- inside --------------------------------------------------------------------------------------

    async def _compute(self) -> None:
        while True:
            await self._offered.wait()
            async with self.computing:
                await self._slots.acquire()
                pipeline = self.pipeline
                work, acks = pipeline.begin(), []
                topic, taken = self._waiting[0][0][0].topic, 0
                # One source a step: what a row notes of one source says nothing of another's records.
                for _ in range(len(self._waiting)):
                    if taken >= STEP_RECORDS or self._waiting[0][0][0].topic != topic:
                        break
                    records, ack = self._waiting.popleft()
                    for start in range(0, len(records), SLICE):
                        pipeline.feed(work, records[start : start + SLICE])
                        await asyncio.sleep(0)
                    taken += len(records)
                    acks.append(ack)
                self._submit(pipeline.finish(work), acks)
            self._waiting_records -= taken
            self._room.set()
            if not self._waiting:
                self._offered.clear()
            # Fire what the clock has passed before more records are taken.
            while pipeline.overdue and not self._paused():
                await self.step(lambda: self.pipeline.advance(self.pipeline.clock_ms, SLICE))
                await asyncio.sleep(0)
            self._done(len(acks))

    def _submit(self, step: Step, acks: list[Ack]) -> None:
        if step.is_empty and not acks:
            self._slots.release()
            return
        self._begun()
        self._steps.put_nowait((step, acks))

    async def _commit(self) -> None:
        while True:
            step, acks = await self._steps.get()
            await self._committer.commit(self.pipeline, step, acks)
            self._slots.release()
            self._done(1)

    def _begun(self) -> None:
        self._open_work += 1
        self._idle.clear()

    def _done(self, count: int) -> None:
        self._open_work -= count
        if not self._open_work:
            self._idle.set()

    async def _guard(self, run: Callable[[], object]) -> None:
        try:
            await run()  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.open = False
            self._failed(error)

    async def drained(self) -> None:
        """Wait until everything taken is durable. Returns at once when the lane has failed."""
        waiting = asyncio.create_task(self._idle.wait())
        await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def close(self) -> None:
        """Stop the lane and close its store. What was not drained is forgotten."""
        self.open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pipeline.profiles.store.close()
