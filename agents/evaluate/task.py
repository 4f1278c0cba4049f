"""A task: one of the table's partitions, its pipeline, and the batches that wait for it.

The batches come from every source partition whose records the table's partition takes
(``agents.kafka.placement``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from agents.evaluate.commits import Ack, Work
from agents.evaluate.jobs import run_aside
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Record
from agents.kafka.raw.records import slice_end, value_bytes

USERS = 500
"""Users per computation where time passes or definitions changed: there is less to do for each."""
LEAST_RECORDS = 100
"""A turn has at least so many."""
TURN_RECORDS = 4_000
"""After so many records a task's turn in a commit cycle ends."""
TIMER_SLICES = 8
"""Slices of users whose timers a task fires in one turn; the rest waits for the next one."""
WAITING_RECORDS = 8_000
"""With so many records waiting a task takes no more, and Faust stops polling before long."""
WAITING_BYTES = 64 * 1024 * 1024
"""Likewise."""


class Task:
    """One partition. Batches come in with ``offer``; ``take_turn`` makes steps of what waits.

    ``latest_ms`` tells the latest timestamp that a record may have now; None: any. ``threads`` run what needs
    no Python.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        latest_ms: Callable[[], int | None] = lambda: None,
        threads: Executor | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._threads = threads
        self._latest_ms = latest_ms
        self.records_waiting = 0
        self._bytes_waiting = 0
        self.cycles = 0
        """How many commit cycles that are under way have steps of it."""
        self._waiting: deque[tuple[Sequence[Record], Ack]] = deque()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def busy(self) -> bool:
        """Some records or steps are not yet durable."""
        return self.cycles > 0 or bool(self._waiting)

    async def offer(self, records: Sequence[Record], ack: Ack) -> None:
        """Take a batch of one source partition; ``ack`` is called when all of it is durable."""
        await self._room.wait()
        self._waiting.append((records, ack))
        self.records_waiting += len(records)
        self._bytes_waiting += value_bytes(records)
        if self.records_waiting >= WAITING_RECORDS or self._bytes_waiting >= WAITING_BYTES:
            self._room.clear()

    async def take_turn(self, work: Work, paused: Callable[[], bool], most_records: int) -> None:
        """Evaluate what waits, source by source, then fire the timers that stream time has passed.

        At most about ``most_records``, and not many more transitions than ``Limits.step_transitions``.
        """
        pipeline, limits = self.pipeline, self.pipeline.limits
        taken = 0
        for _ in range(len(self._waiting)):
            if taken >= most_records or work.is_full(limits):
                break
            taken += await self._step(work, most_records - taken)
        for _ in range(TIMER_SLICES):
            if paused() or not pipeline.overdue or work.is_full(limits):
                break
            parts = pipeline.punctuating(pipeline.stream_time_ms, USERS)
            work.steps.append(await run_aside(parts, self._threads))
            await asyncio.sleep(0)

    async def _step(self, work: Work, most_records: int) -> int:
        """One step of the batches in front that have one source partition; how many records those have.

        One, because what a row notes of one source partition says nothing of another's records.
        """
        if not self._waiting:
            return 0
        made = self.pipeline.begin()
        source, taken = self._source(), 0
        limits = self.pipeline.limits
        while self._waiting and self._source() == source and taken < most_records:
            if made.is_full(limits):
                break
            records, ack = self._waiting.popleft()
            at = 0
            while at < len(records) and taken + at < most_records and not made.is_full(limits):
                end = slice_end(records, at, self.pipeline.slice_records, self.pipeline.slice_bytes)
                some = records[at:end]
                parts = self.pipeline.feeding(made, some, self._latest_ms())
                at += await run_aside(parts, self._threads)
                await asyncio.sleep(0)
            taken += at
            if at < len(records):
                self._waiting.appendleft((records[at:], ack))  # the batch is acknowledged with its last step
            else:
                work.acks.append(ack)
        work.steps.append(await run_aside(self.pipeline.finishing(made), self._threads))
        self.records_waiting -= taken
        self._bytes_waiting -= made.fed_bytes
        self._room.set()
        return taken

    def _source(self) -> tuple[str, int]:
        """Topic and partition of the batch in front."""
        first = self._waiting[0][0][0]
        return first.topic, first.partition
