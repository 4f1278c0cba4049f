"""Fetching the logs of a merge with consumers of their own.

They are read as the live stream is: with the same isolation level, and every record that can be read. A log
that lost records which were to be read is an error, not a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from agents.backfill.history.imports import Run
from agents.backfill.history.merge import Source
from agents.evaluate.steps import Record
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer

FETCH_BYTES: Final = 1024 * 1024
"""Of one partition at once: many partitions may wait for one another."""
POLL_RECORDS: Final = 2_000
"""That one poll makes: some milliseconds of work for the client."""
PLENTY_RECORDS: Final = 10_000
"""With so many waiting of one log no more is fetched of it."""
NO_END: Final = 1 << 62


class HistoryLost(Exception):
    """Records that a computation still had to read are gone from the log; the text says which."""


def history_consumer(broker: Broker) -> AIOKafkaConsumer:
    """A consumer for a ``Reader``; not started. It raises where records are gone."""
    return new_consumer(broker, max_partition_fetch_bytes=FETCH_BYTES, auto_offset_reset="none")


class RunSource(Source):
    """One run of a history topic's partition: its pieces, one after another, and of them what counts.

    Records before ``from_ms`` are left out; None: none is.
    """

    def __init__(self, run: Run, from_ms: int | None) -> None:
        super().__init__(0, NO_END, 0)
        self._from_ms = from_ms
        self._pieces = [
            each
            for each in run.pieces
            if each.begin < each.end and (from_ms is None or each.last_ms is None or each.last_ms >= from_ms)
        ]
        self._next_piece()

    @property
    def is_fetched(self) -> bool:
        return not self._pieces

    @property
    def is_at_end(self) -> bool:
        return self.is_fetched and not self.waiting

    @property
    def remaining(self) -> int:
        unread = sum(each.end - max(each.begin, self.fetched_to) for each in self._pieces[:1])
        return self.waiting + unread + sum(each.end - each.begin for each in self._pieces[1:])

    def add(self, records: Sequence[Record], fetched_to: int) -> None:
        piece, from_ms = self._pieces[0], self._from_ms
        counting = [each for each in records if each.offset < piece.end and self._counts(each.headers)]
        kept = [each for each in counting if from_ms is None or each.timestamp >= from_ms]
        super().add(kept, fetched_to)
        if fetched_to >= piece.end:
            self._pieces.pop(0)
            self._next_piece()

    def _next_piece(self) -> None:
        if self._pieces:
            self._counts = self._pieces[0].filter()
            self.fetched_to = self._pieces[0].begin


class Reader:
    """Fetches some logs with one consumer, which is started and its own.

    ``resumed``: logs that something was read of before; others may begin later than they are thought to.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        sources: Mapping[TopicPartition, Source],
        resumed: Set[TopicPartition] = frozenset(),
    ) -> None:
        self.consumer = consumer
        self._sources = sources
        self._read = set(resumed)
        self._paused: set[TopicPartition] = set()

    async def start(self) -> None:
        """Raises HistoryLost when a log doesn't reach back to where it is to be read from."""
        self.consumer.assign(list(self._sources))
        begins: Mapping[TopicPartition, int] = await self.consumer.beginning_offsets(list(self._sources))
        for tp, begin in begins.items():
            self._begin(tp, begin)
            self.consumer.seek(tp, self._sources[tp].fetched_to)

    async def fetch(self, wait_ms: int, most_records: int = POLL_RECORDS) -> None:
        """Get some of what comes next; waits for so long at most. Raises HistoryLost, KafkaError."""
        wanted = [tp for tp, each in self._sources.items() if _is_wanted(each)]
        self._pause({*self._sources} - {*wanted})
        if not wanted:
            return
        try:
            polled = await self.consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=most_records)
        except OffsetOutOfRangeError:
            await self._begin_again(wanted)
            return
        for tp in wanted:
            source, records = self._sources[tp], polled.get(tp, ())
            if records:
                self._read.add(tp)
            # The position passes control records and aborted ones, too.
            position = await self.consumer.position(tp)
            source.add(records, position)
            if source.fetched_to != position:
                self.consumer.seek(tp, source.fetched_to)

    async def _begin_again(self, wanted: Sequence[TopicPartition]) -> None:
        """Some log has no record where it is to be read. Raises HistoryLost."""
        begins = await self.consumer.beginning_offsets(wanted)
        for tp, end in (await self.consumer.end_offsets(wanted)).items():
            position = self._sources[tp].fetched_to
            if end < position:
                raise HistoryLost(
                    f"{tp.topic}/{tp.partition} ends at offset {end}, and was read to {position}"
                )
            self._begin(tp, begins[tp])
            self.consumer.seek(tp, self._sources[tp].fetched_to)

    def _begin(self, tp: TopicPartition, begin: int) -> None:
        """Note where a log begins. Raises HistoryLost."""
        source = self._sources[tp]
        if begin <= source.fetched_to or source.is_at_end:
            return
        if tp in self._read or isinstance(source, RunSource):
            raise HistoryLost(
                f"offsets {source.fetched_to} to {begin - 1} of {tp.topic}/{tp.partition} were gone before "
                "they were read: its retention is shorter than the computation takes"
            )
        source.position = source.fetched_to = begin

    def _pause(self, full: set[TopicPartition]) -> None:
        """Fetch nothing of these; aiokafka waits for the reader of what it has before it fetches more."""
        if resumed := self._paused - full:
            self.consumer.resume(*resumed)
        if paused := full - self._paused:
            self.consumer.pause(*paused)
        self._paused = full


def _is_wanted(source: Source) -> bool:
    if source.waiting >= PLENTY_RECORDS:
        return False
    return not (isinstance(source, RunSource) and source.is_fetched)
