"""Records of several logs in one order: by record timestamp, then topic, then partition, then offset (rules,
section 8a.1). No I/O.

A log's own order is never changed: only the first record that is left of each log is compared, so timestamps
may go back. The order depends on the records and on the ends alone, never on how many a fetch brought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from agents.evaluate.steps import Record


class Place(NamedTuple):
    """One log: a topic partition, or one run of a history topic's partition (``history.imports``)."""

    topic: str
    partition: int
    run: int = 0


@dataclass(slots=True)
class Source:
    """One log: what was fetched of it and not given on yet."""

    position: int
    """Offset of the next record that is to be given on."""
    end: int
    """The offset up to which it is read now; the record there is not given on."""
    fetched_to: int
    """Offset of the next record that is to be fetched."""
    records: Sequence[Record] = ()
    at: int = 0
    """Those before are given on."""

    @property
    def waiting(self) -> int:
        """How many records are fetched and not given on."""
        return len(self.records) - self.at

    @property
    def head(self) -> Record | None:
        """The next record; None: it must be fetched, or there is none before the end."""
        if self.at < len(self.records):
            record = self.records[self.at]
            return record if record.offset < self.end else None
        return None

    @property
    def is_at_end(self) -> bool:
        """Everything before the end is given on; what is left before it, if anything, are control records."""
        if self.position >= self.end:
            return True
        if self.at < len(self.records):
            return self.records[self.at].offset >= self.end
        return self.fetched_to >= self.end

    @property
    def remaining(self) -> int:
        """Offsets up to the end; some may hold no record, as where compaction took it."""
        return 0 if self.is_at_end else self.end - self.position

    def add(self, records: Sequence[Record], fetched_to: int) -> None:
        """What a fetch brought, perhaps nothing, and where the next one goes on."""
        if records:
            self.records = [*islice(self.records, self.at, None), *records] if self.waiting else records
            self.at = 0
        self.fetched_to = max(self.fetched_to, fetched_to)

    def take(self, until: int) -> Sequence[Record]:
        """The records from ``at`` up to that place in ``records``."""
        found = self.records[self.at : until]
        self.at = until
        self.position = found[-1].offset + 1
        if until == len(self.records):
            self.records, self.at = (), 0
        return found


_Key = tuple[int, str, int, int]


@dataclass(slots=True)
class Merge:
    """Several logs in one order."""

    sources: dict[Place, Source] = field(default_factory=dict)

    @property
    def is_at_end(self) -> bool:
        return all(each.is_at_end for each in self.sources.values())

    @property
    def remaining(self) -> int:
        """Records up to the ends, about."""
        return sum(each.remaining for each in self.sources.values())

    @property
    def must_fetch(self) -> list[Place]:
        """Those whose next record is not known, and without which nothing can go on."""
        return [place for place, each in self.sources.items() if each.head is None and not each.is_at_end]

    def extend(self, ends: Mapping[TopicPartition, int]) -> None:
        """Read further, up to these offsets. An end never goes back."""
        for tp, end in ends.items():
            source = self.sources[Place(tp.topic, tp.partition)]
            source.end = max(source.end, end)

    def next_run(self, most: int) -> Sequence[Record]:
        """The records that come next, of one log, at most so many; empty: something must be fetched first, or
        everything is at its end."""
        first: tuple[_Key, Source] | None = None
        second: _Key | None = None
        for place, source in self.sources.items():
            head = source.head
            if head is None:
                if source.is_at_end:
                    continue
                return ()
            key = (head.timestamp, place.topic, place.partition, head.offset)
            if first is None or key < first[0]:
                first, second = (key, source), None if first is None else first[0]
            elif second is None or key < second:
                second = key
        if first is None:
            return ()
        return first[1].take(_end_of_run(first[1], most, first[0], second))


def _end_of_run(source: Source, most: int, key: _Key, second: _Key | None) -> int:
    """Where the run ends that begins at the source's first record: before the first record that comes after
    ``second``, the key of another log's."""
    records, at = source.records, source.at
    last = min(len(records), at + most)
    if second is not None:
        second_ms, place, after = second[0], key[1:3], second[1:]
        for index in range(at + 1, last):
            timestamp = records[index].timestamp
            if timestamp >= second_ms and (timestamp > second_ms or (*place, records[index].offset) > after):
                last = index
                break
    while last > at + 1 and records[last - 1].offset >= source.end:
        last -= 1
    return last


def places(partition: int, partitions: int, topics: Mapping[str, int]) -> Iterable[TopicPartition]:
    """The source partitions whose records a partition of the table takes (``agents.kafka.placement``).

    ``topics``: how many partitions each has. In the order of their names.
    """
    for topic, count in sorted(topics.items()):
        for each in range(partition, count, partitions):
            yield TopicPartition(topic, each)
