"""The order of one step's writes, in one place (docs/design: invariants 2 to 4).

    1. changelog: marker, rows with their outboxes, end marker         acknowledged by all in-sync replicas
    2. outputs: re-keyed records, dead letters, transitions            likewise
    3. the store: rows, due index, marker, changelog offset            one RocksDB write
    4. the ack of the source batch; Faust commits its offset later

A crash between two of them loses nothing: see ``agents.restore``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer

from agents.dead_letters import dead_letter_headers, rekey_headers
from agents.pipeline import Pipeline
from agents.placement import partition_of
from agents.steps import Step
from agents.transitions import encode_transition
from rules.row import Transition
from tables.codec import MARKER_KEY, OUTBOX_HEADER, encode_outbox
from tables.meta import StoreMeta, encode_meta

Headers = Sequence[tuple[str, bytes]]
_NO_HEADERS: Headers = []
MEMBERSHIP_SECONDS = 0.05
"""Between two looks, while it isn't known whether the group still counts on this worker."""


class Observer(Protocol):
    """Who counts. Called once a step, after it is durable."""

    def step_done(self, partition: int, step: Step, seconds: float) -> None: ...


Ack = Callable[[], object]


@dataclass(slots=True)
class Work:
    """Steps of one partition, in order, and whom to tell when they are durable."""

    pipeline: Pipeline
    steps: list[Step] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics a worker writes, and how many partitions the outputs have."""

    changelog: str
    transitions: str
    rekeyed: str
    partitions: int
    """Of the source topics, the changelog and the re-keyed records: they are co-partitioned."""
    transitions_partitions: int
    dead_letter_suffix: str = ".dlq"


class Batches:
    """Records on their way to one topic partition, in order, in as few produce batches as they fit."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._batch = producer.create_batch()
        self._sent: list[asyncio.Future[Any]] = []
        self._is_sent = False

    async def add(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int | None = None,
        headers: Headers = _NO_HEADERS,
    ) -> None:
        metadata = self._batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        if metadata is None:
            await self.send()
            self._batch, self._is_sent = self._producer.create_batch(), False
            self._batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)

    async def add_transition(self, transition: Transition) -> None:
        """One place for the first time and for every repetition: they must be the same record."""
        value, headers = encode_transition(transition)
        await self.add(transition.user_id.encode(), value, max(transition.at_ms, 0), headers)

    async def send(self) -> None:
        """Put what was added on its way; nothing may be added before ``acknowledged``."""
        self._batch.close()
        self._sent.append(
            await self._producer.send_batch(self._batch, self._topic, partition=self._partition)
        )
        self._is_sent = True

    async def acknowledged(self) -> int:
        """Wait for every record; the offset after the last one. Raises what the producer raises."""
        if not self._is_sent:
            await self.send()
        first_of_last = 0
        for future in self._sent:
            first_of_last = (await future).offset
        return first_of_last + int(self._batch.record_count())


class Committer:
    """Writes the steps of one partition of the table."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics, observer: Observer) -> None:
        self._producer = producer
        self._topics = topics
        self._observer = observer
        self.may_write: Callable[[], bool] = lambda: True
        """Whether the partitions are surely still ours. May raise, to give up what is in hand."""

    async def commit(self, works: Sequence[Work]) -> None:
        """Make the steps of several partitions durable, in the order of this module's text; then ack.

        All changelogs go out together and so do all outputs: aiokafka has one request at a time under
        way for a broker, and it carries what is ready for any partition.
        """
        started = asyncio.get_running_loop().time()
        while not self.may_write():
            await asyncio.sleep(MEMBERSHIP_SECONDS)
        changelogs = [(work, await self._changelog(work)) for work in works]
        for work, batches in changelogs:
            if batches is not None:
                work.pipeline.changelog_next = await batches.acknowledged()
        await self._outputs(works)
        for work in works:
            pipeline = work.pipeline
            for step in work.steps:
                pipeline.acked(step)
                if not step.is_empty:
                    step.staged.write.meta = encode_meta(StoreMeta(pipeline.changelog_next, step.end_marker))
                    pipeline.profiles.durable(step.staged)
            for ack in work.acks:
                ack()
        seconds = asyncio.get_running_loop().time() - started
        for work in works:
            for step in work.steps:
                self._observer.step_done(work.pipeline.place.partition, step, seconds)

    async def marker(self, pipeline: Pipeline) -> None:
        """Write the marker as it stands, so that the next owner need not send anything again."""
        batches = Batches(self._producer, self._topics.changelog, pipeline.place.partition)
        marker = pipeline.marker()
        await batches.add(MARKER_KEY, marker)
        await batches.send()
        pipeline.changelog_next = await batches.acknowledged()
        pipeline.noted_step = pipeline.acked_step
        pipeline.profiles.flush(encode_meta(StoreMeta(pipeline.changelog_next, marker)))

    async def _changelog(self, work: Work) -> Batches | None:
        """Send the changelog of a partition's steps; None when they changed nothing that must be kept."""
        steps = [step for step in work.steps if step.staged.rows or step.clock_moved]
        if not steps:
            return None
        batches = Batches(self._producer, self._topics.changelog, work.pipeline.place.partition)
        for step in steps:
            await batches.add(MARKER_KEY, step.marker)
            outboxes = step.outboxes
            for key, value in step.staged.rows:
                outbox = outboxes.get(key) if outboxes else None
                if outbox is None:
                    await batches.add(key, value)
                else:
                    await batches.add(key, value, headers=[(OUTBOX_HEADER, encode_outbox(outbox))])
            await batches.add(MARKER_KEY, step.end_marker)
        await batches.send()
        return batches

    async def _outputs(self, works: Sequence[Work]) -> None:
        lots: dict[tuple[str, int], Batches] = {}
        for work in works:
            for step in work.steps:
                await self._output(work.pipeline.place.partition, step, lots)
        for lot in lots.values():
            await lot.send()
        for lot in lots.values():
            await lot.acknowledged()

    async def _output(self, partition: int, step: Step, lots: dict[tuple[str, int], Batches]) -> None:
        topics = self._topics
        for user_id, record, origin in step.rekeyed:
            target = partition_of(user_id, topics.partitions)
            await self._lot(lots, topics.rekeyed, target).add(
                user_id.encode(), record.value, max(record.timestamp, 0), rekey_headers(record, origin)
            )
        for letter in step.dead:
            topic, source_partition, _ = letter.origin
            await self._lot(lots, topic + topics.dead_letter_suffix, source_partition).add(
                letter.record.key, letter.record.value, None, dead_letter_headers(letter)
            )
        same = topics.transitions_partitions == topics.partitions
        for transition in step.transitions:
            target = partition if same else partition_of(transition.user_id, topics.transitions_partitions)
            await self._lot(lots, topics.transitions, target).add_transition(transition)

    def _lot(self, lots: dict[tuple[str, int], Batches], topic: str, partition: int) -> Batches:
        lot = lots.get((topic, partition))
        if lot is None:
            lot = lots[topic, partition] = Batches(self._producer, topic, partition)
        return lot
