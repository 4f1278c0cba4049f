"""The log of an estimate in Kafka: what the history topics hold, and the source topics from their first
offsets to where they end now.

The repartition topic isn't read: its records lie in the source topics, and it need not have all of them any
more. Each is given to the partition of its user (``agents.estimate.evaluate``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from agents.backfill.history.extent import Extent
from agents.backfill.history.history import History
from agents.backfill.history.imports import Run
from agents.backfill.history.reader import history_consumer
from agents.backfill.history.runs import history_runs
from agents.estimate.log import without_erased
from agents.evaluate.steps import Record
from agents.formats.format import Format
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.erased_records import NOBODY, ErasedRecords, read_erased
from agents.topics.look import look
from agents.topics.plan import TopicPlan

POLL_RECORDS: Final = 5_000
WAIT_MS: Final = 200


@dataclass(frozen=True, slots=True)
class KafkaLog:
    """``topics``: the source topics that there are. ``ends``: of each of their partitions with records, its
    first offset and the one after its last. ``runs``: of the history topics, by partition of the table."""

    broker: Broker
    topics: Collection[str]
    partitions: int
    ends: Mapping[TopicPartition, tuple[int, int]]
    runs: Mapping[int, Sequence[Run]]
    erased: ErasedRecords = NOBODY

    @property
    def records(self) -> int:
        sources = sum(end - begin for begin, end in self.ends.values())
        return sources + sum(run.offsets for runs in self.runs.values() for run in runs)

    @property
    def cut_short(self) -> Collection[tuple[str, int]]:
        return {(tp.topic, tp.partition) for tp, (begin, _) in self.ends.items() if begin > 0}

    @property
    def history(self) -> Collection[str]:
        return {run.topic for runs in self.runs.values() for run in runs}

    async def read(self) -> AsyncIterator[Sequence[Record]]:
        """Raises HistoryLost, KafkaError."""
        for runs in self.runs.values():
            async for records in self._history(runs):
                yield without_erased(records, self.erased, is_history=True)
        async for records in self._sources():
            yield without_erased(records, self.erased, is_history=False)

    async def _history(self, runs: Sequence[Run]) -> AsyncIterator[Sequence[Record]]:
        history = History(lambda: history_consumer(self.broker), Extent(None, tuple(runs), ()))
        try:
            while not history.is_at_end:
                records = history.next_run(POLL_RECORDS)
                if records:
                    yield records
                else:
                    await history.fetch()
        finally:
            await history.close()

    async def _sources(self) -> AsyncIterator[Sequence[Record]]:
        left = dict(self.ends)
        if not left:
            return
        async with new_consumer(self.broker) as consumer:
            consumer.assign(list(left))
            for tp, (begin, _) in left.items():
                consumer.seek(tp, begin)
            while left:
                polled = await consumer.getmany(*left, timeout_ms=WAIT_MS, max_records=POLL_RECORDS)
                for tp, records in polled.items():
                    yield _before(records, left[tp][1])
                # The position passes control records and aborted ones, too.
                done = [tp for tp in left if await consumer.position(tp) >= left[tp][1]]
                for tp in done:
                    consumer.pause(tp)
                    del left[tp]


def _before(records: Sequence[Record], end: int) -> Sequence[Record]:
    """Those up to the end that the log had when the estimate began."""
    if records and records[-1].offset >= end:
        return [each for each in records if each.offset < end]
    return records


async def open_log(
    admin: AIOKafkaAdminClient, broker: Broker, plan: TopicPlan, formats: Mapping[str, Format] | None = None
) -> KafkaLog:
    """The log as it is now. No worker need run or have run. ``formats``: of the topics that aren't native.

    Raises KafkaError.
    """
    cluster = await look(admin)
    topics = cluster.topics
    counts = {name: topics[name].partitions for name in plan.events if name in topics}
    changelog = topics.get(plan.changelog)
    partitions = changelog.partitions if changelog else max(counts.values(), default=1)
    if not topics.keys() & {*plan.events, *plan.history}:
        return KafkaLog(broker, (), partitions, {}, {})  # a consumer that is asked nothing can't be stopped
    async with new_consumer(broker) as consumer:
        sources = [TopicPartition(name, each) for name, count in counts.items() for each in range(count)]
        found = await _ends(consumer, sources)
        runs = await history_runs(consumer, lambda: new_consumer(broker), cluster, plan, partitions)
        erased = NOBODY
        if plan.erasures in topics:
            erased = await read_erased(consumer, plan.erasures, formats)
    ends = {tp: each for tp, each in found.items() if each[0] < each[1]}
    return KafkaLog(broker, tuple(counts), partitions, ends, runs, erased)


async def _ends(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    if not places:
        return {}
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    return {tp: (begins[tp], ends[tp]) for tp in places}
