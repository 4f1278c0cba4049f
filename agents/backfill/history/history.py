"""The history of one partition of the table in its order: the history topics, then the source topics and the
repartition topic (rules, section 8a.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.backfill.history.extent import Extent
from agents.backfill.history.merge import Merge, Place, Source
from agents.backfill.history.reader import POLL_RECORDS, Reader, RunSource
from agents.evaluate.steps import Record
from agents.kafka.consumed import Consumed

WAIT_MS: Final = 100


class History:
    """The records of one partition of the table, in their order.

    ``next_run`` gives what is fetched; when it gives nothing, ``fetch``, until ``is_at_end``. ``extend`` lets
    it go on to where the live stream is meanwhile. Records of history topics get offsets of their own: their
    places in the order, from 0 on in each topic partition, because imports don't lie there in the order of
    time.

    ``new_consumer`` makes a consumer that isn't started (``history_consumer``). ``taken``: the last offset
    that an earlier life of the computation has taken of a topic partition; -1: none.
    """

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        extent: Extent,
        taken: Callable[[str, int], int] = lambda _, __: -1,
    ) -> None:
        self._new_consumer = new_consumer
        self._sources = Merge()
        self._resumed: set[TopicPartition] = set()
        self._took = taken
        for start in extent.starts:
            self._add(TopicPartition(start.topic, start.partition), start.offset)
        self._runs = Merge()
        self._given = {(run.topic, run.partition): 0 for run in extent.runs}
        """Of each partition of the history topics, how many records came so far."""
        self._taken = {place: taken(*place) + 1 for place in self._given}
        if not self._resumed:  # otherwise an earlier life was through with them
            for number, run in enumerate(extent.runs):
                self._runs.sources[Place(run.topic, run.partition, number)] = RunSource(run, extent.from_ms)
        self._readers: list[Reader] = []
        self._is_begun = False
        self._read_before = sum(
            source.position - start.offset
            for start, source in zip(extent.starts, self._sources.sources.values(), strict=True)
        )
        self.total = self._read_before + self._runs.remaining
        """Records up to the ends, about; ``remaining`` of them are still to be read."""

    @property
    def is_at_end(self) -> bool:
        return self._runs.is_at_end and self._sources.is_at_end

    @property
    def remaining(self) -> int:
        return self._runs.remaining + self._sources.remaining

    @property
    def done(self) -> int:
        return max(0, self.total - self.remaining)

    def extend(self, ends: Mapping[TopicPartition, int]) -> None:
        """Read the sources up to these offsets. An end never goes back.

        A source that is not in the extent got its records since, and is read from its begin.
        """
        before = self._sources.remaining
        for tp in ends:
            if self._source(tp) is None:
                self._add(tp, 0)
                self._is_begun = False
        self._sources.extend(ends)
        self.total += self._sources.remaining - before

    @property
    def must_fetch(self) -> bool:
        """``next_run`` gives nothing although it isn't at its end."""
        return bool(self._runs.must_fetch if not self._runs.is_at_end else self._sources.must_fetch)

    def behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """Records, about, that lie between the ends as they are said now and these."""
        known = {tp: self._source(tp) for tp in ends}
        return sum(
            max(0, end - (0 if (source := known[tp]) is None else source.end)) for tp, end in ends.items()
        )

    def has_fetched_to(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether ``next_run`` gives everything up to these ends with nothing more fetched."""
        found = [(self._source(tp), end) for tp, end in ends.items()]
        return self._runs.is_at_end and all(
            source is not None and source.fetched_to >= end for source, end in found
        )

    def has_taken(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether ``next_run`` has given everything up to these ends."""
        found = [(self._source(tp), end) for tp, end in ends.items()]
        return self._runs.is_at_end and all(
            end == 0
            if source is None
            else source.position >= end or (source.head is None and source.fetched_to >= end)
            for source, end in found
        )

    def next_run(self, most: int) -> Sequence[Record]:
        """The next records, of one source partition, at most so many; none: ``fetch`` or at the end."""
        while not self._runs.is_at_end:
            run = self._runs.next_run(most)
            if not run:
                return ()
            if numbered := self._numbered(run):
                return numbered
        return self._sources.next_run(most)

    async def fetch(self, wait_ms: int = WAIT_MS, most_records: int = POLL_RECORDS) -> None:
        """Get some of what comes next; waits for so long at most. Raises HistoryLost, KafkaError."""
        if not self._readers or (self._runs.is_at_end and not self._is_begun):
            await self.close()
            self._readers = await self._started()
        await asyncio.gather(*(each.fetch(wait_ms, most_records) for each in self._readers))

    async def close(self) -> None:
        """Stop the consumers."""
        readers, self._readers = self._readers, []
        await asyncio.gather(*(each.consumer.stop() for each in readers))

    def _source(self, tp: TopicPartition) -> Source | None:
        return self._sources.sources.get(Place(tp.topic, tp.partition))

    def _add(self, tp: TopicPartition, start: int) -> None:
        offset = max(start, self._took(tp.topic, tp.partition) + 1)
        self._sources.sources[Place(tp.topic, tp.partition)] = Source(offset, offset, offset)
        if offset > start:
            self._resumed.add(tp)

    def _numbered(self, run: Sequence[Record]) -> Sequence[Record]:
        """Records of a history topic with their places as offsets, without those that were taken before."""
        place = run[0].topic, run[0].partition
        first = self._given[place]
        self._given[place] = first + len(run)
        known = max(0, self._taken[place] - first)
        return [
            Consumed(each.topic, each.partition, number, each.timestamp, each.key, each.value, each.headers)
            for number, each in enumerate(run[known:], first + known)
        ]

    async def _started(self) -> list[Reader]:
        """Readers of the history topics, and when these are read, of the sources."""
        self._is_begun = self._runs.is_at_end
        merge = self._sources if self._is_begun else self._runs
        groups: dict[int, dict[TopicPartition, Source]] = {}
        for place, source in merge.sources.items():
            tp, number = TopicPartition(place.topic, place.partition), 0
            while tp in groups.get(number, ()):  # a consumer has one position in each partition
                number += 1
            groups.setdefault(number, {})[tp] = source
        readers = [Reader(self._new_consumer(), each, self._resumed) for each in groups.values()]
        try:
            for reader in readers:
                await reader.consumer.start()
                await reader.start()
        except BaseException:
            await asyncio.gather(*(each.consumer.stop() for each in readers), return_exceptions=True)
            raise
        return readers
