"""The order of one step's writes, in one place (docs/architecture.md, invariants 2 to 4).

    1. changelog: checkpoint, rows with their outboxes, end checkpoint    acknowledged by all in-sync replicas
    2. outputs: repartitioned records, dead letters, transitions          likewise
    3. the store: rows, timer index, checkpoint, changelog offset         one RocksDB write
    4. the ack of the source batch                                        Faust commits its offset later

A crash between two of them loses nothing: see ``agents.restore.restorer``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import AIOKafkaProducer

from agents.evaluate.jobs import run_aside, side_by_side
from agents.evaluate.outputs import Outputs, Told
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.batches import PRODUCE_BATCH_BYTES, Batches
from agents.kafka.raw.hooks import Ready
from agents.topics.written import WrittenTopics
from tables.changelog.format import Written

MEMBERSHIP_SECONDS = 0.05
"""Between two looks, while it isn't known whether the group still counts on this worker."""


class Listener(Protocol):
    """Is told of each step once, after it is durable: the metrics."""

    def step_done(self, partition: int, step: Step, seconds: float) -> None: ...


Ack = Callable[[], object]


@dataclass(slots=True)
class Work:
    """Steps of one partition, in order, and what to call when they are durable."""

    pipeline: Pipeline
    steps: list[Step] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    is_note: bool = False
    """Write a checkpoint also when no step does, so that what is acknowledged is known to be."""

    def is_full(self, limits: Limits) -> bool:
        """It has enough transitions for one commit."""
        return sum(len(each.transitions) for each in self.steps) >= limits.step_transitions


class Committer:
    """Writes the steps of a worker's partitions.

    ``may_write`` tells whether the partitions are surely still ours. It may raise: then what is in hand is
    given up. ``threads`` make batches.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topics: WrittenTopics,
        listener: Listener,
        told: Told | None = None,
        may_write: Callable[[], bool] = lambda: True,
        threads: Executor | None = None,
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._listener = listener
        self._told = told or Told()
        self._may_write = may_write
        self._threads = threads

    async def commit(self, works: Sequence[Work]) -> None:
        """Make the steps of several partitions durable, in the order of this module's text; then ack.

        All changelogs go out together and so do all outputs: aiokafka has one request at a time under
        way for a broker, and it carries what is ready for any partition.
        """
        started = time.monotonic()
        await self._until_ours()
        changelogs = await side_by_side([self._changelog(work) for work in works])
        for work, batches in zip(works, changelogs, strict=True):
            if batches is not None:
                work.pipeline.outgoing.written(await batches.acknowledged())
        await self._outputs(works)
        for work in works:
            work.pipeline.durable(work.steps)
            for ack in work.acks:
                ack()
        seconds = time.monotonic() - started
        for work in works:
            for step in work.steps:
                self._listener.step_done(work.pipeline.place.partition, step, seconds)

    async def _until_ours(self) -> None:
        while not self._may_write():
            await asyncio.sleep(MEMBERSHIP_SECONDS)

    async def checkpoint(self, pipeline: Pipeline) -> None:
        """Write the checkpoint as it stands, so that the next owner need not send anything again."""
        await self.commit([Work(pipeline, is_note=True)])
        pipeline.flush()

    async def _changelog(self, work: Work) -> Batches | None:
        """Send the changelog of a partition's steps; None when they changed nothing that must be kept."""
        pipeline = work.pipeline
        outgoing = pipeline.outgoing
        topics = self._topics
        most_bytes = min(topics.changelog_bytes, PRODUCE_BATCH_BYTES)
        records: list[Iterable[Written | Ready]] = [pipeline.note()] if work.is_note else []
        logged = [step for step in work.steps if step.is_logged]
        if logged:
            records += await run_aside(outgoing.logging(logged, most_bytes), self._threads)
        if not records:
            return None
        await self._until_ours()  # making them took time; a process that stood still meanwhile must not send
        batches = Batches(self._producer, topics.changelog, pipeline.place.partition, topics.changelog_bytes)
        for each in records:
            for written in each:
                if isinstance(written, Ready):
                    await batches.add_ready(written)
                else:
                    key, value, headers = written
                    await batches.add(key, value, None, headers)
        await batches.end()
        return batches

    async def _outputs(self, works: Sequence[Work]) -> None:
        outputs = Outputs(self._producer, self._topics, self._told)
        adding = [outputs.adding(work.pipeline.place.partition, work.steps) for work in works]
        await side_by_side([run_aside(each, self._threads) for each in adding])
        await outputs.send()
