"""Kafka for the test driver: topics in memory, a producer and a consumer that never wait.

They have what ``agents.kafka.batches``, ``agents.evaluate.commits`` and ``agents.restore.restorer`` use of
aiokafka's, so the driver runs these as they are. Nothing in them waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka import TopicPartition

from agents.evaluate.native.core import native_core
from agents.kafka.raw.hooks import Ready
from tables.changelog.reader import ChangelogReader

Headers = Sequence[tuple[str, bytes]]
Result = TypeVar("Result")


LOOP = asyncio.new_event_loop()


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Bring a coroutine to its end, in a loop that all drivers share: a loop takes long to make."""
    return LOOP.run_until_complete(coroutine)


@dataclass(frozen=True)
class Stored:
    """A record of a topic in memory."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass
class TopicLog:
    """One partition of a topic; ``end`` is the next offset, whatever compaction took."""

    records: list[Stored] = field(default_factory=list)
    end: int = 0

    def compact(self, upto: Callable[[], bool] = lambda: True) -> None:
        """Take records that have a later one of the same key, those for which ``upto`` says so."""
        last = {each.key: each.offset for each in self.records}
        self.records = [each for each in self.records if last[each.key] == each.offset or not upto()]


class RecordTooLarge(Exception):
    """What a broker says (``MessageSizeTooLargeError``) of a batch beyond ``max.message.bytes``."""


class Batch:
    """As ``aiokafka.producer.message_accumulator.BatchBuilder``."""

    def __init__(self, most: int) -> None:
        self.records: list[dict[str, Any]] = []
        self._most = most

    def append(self, **record: Any) -> object | None:
        assert isinstance(record["headers"], list), "aiokafka takes nothing else"
        if len(self.records) >= self._most:
            return None
        self.records.append(record)
        return record

    def close(self) -> None:
        pass

    def size(self) -> int:
        return 61 + sum(_bytes(each) for each in self.records)

    def record_count(self) -> int:
        return len(self.records)


def _bytes(record: dict[str, Any]) -> int:
    headers = sum(len(name) + len(value) + 4 for name, value in record["headers"])
    return 20 + len(record["key"] or b"") + len(record["value"] or b"") + headers


class _Sent:
    """A future that is done."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def __await__(self) -> Generator[None, None, _Sent]:
        return self
        yield


class Producer:
    """Writes at once. ``write`` is called before each record, with its topic, and may end the process."""

    def __init__(
        self,
        logs: Callable[[str, int], TopicLog],
        write: Callable[[], None],
        max_bytes: Mapping[str, int],
    ) -> None:
        self._logs = logs
        self._write = write
        self._max_bytes = max_bytes
        self.batch_records = 1 << 30

    def create_batch(self) -> Batch:
        return Batch(self.batch_records)

    async def send_batch(self, batch: Batch | Ready, topic: str, *, partition: int) -> _Sent:
        limit = self._max_bytes.get(topic)
        records = _unpacked(batch) if isinstance(batch, Ready) else batch.records
        if limit is not None and records and batch.size() > limit:
            raise RecordTooLarge(f"{topic}: {batch.size()} bytes, the topic takes {limit}")
        log = self._logs(topic, partition)
        first = log.end
        for record in records:
            self._write()
            stamp = record["timestamp"] or 0
            log.records.append(
                Stored(topic, partition, log.end, stamp, record["key"], record["value"], record["headers"])
            )
            log.end += 1
        return _Sent(first)


def _unpacked(batch: Ready) -> list[dict[str, Any]]:
    """The records of a finished batch."""
    fetched = native_core().Fetched(batch._build(), 0, [])
    names = "timestamp", "key", "value", "headers"
    records = [dict(zip(names, fetched.record(number)[1:], strict=True)) for number in range(len(fetched))]
    assert len(records) == batch.record_count()
    return records


class Consumer:
    """Reads logs to their ends, ``chunk`` records at a time."""

    def __init__(self, logs: Callable[[str, int], TopicLog], chunk: int) -> None:
        self._logs = logs
        self._chunk = chunk
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self._positions = dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        self._paused.update(tps)

    async def beginning_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._logs(tp.topic, tp.partition).end for tp in tps}

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def getmany(self, *tps: TopicPartition, **_: Any) -> dict[TopicPartition, list[Stored]]:
        found: dict[TopicPartition, list[Stored]] = {}
        for tp, position in self._positions.items():
            if tp in self._paused or (tps and tp not in tps):
                continue
            log = self._logs(tp.topic, tp.partition)
            records = [each for each in log.records if each.offset >= position][: self._chunk]
            self._positions[tp] = records[-1].offset + 1 if records else log.end
            if records:
                found[tp] = records
        return found


class MemoryKafka:
    """Topics, each made when it is first asked for, with a producer and a consumer that never wait."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, int], TopicLog] = {}
        self.producer: Any = Producer(self.log, lambda: None, {})
        self.consumer: Any = Consumer(self.log, 1000)

    def log(self, topic: str, partition: int) -> TopicLog:
        return self._logs.setdefault((topic, partition), TopicLog())

    def changelog(self, topic: str, partition: int = 0) -> ChangelogReader:
        """A reader that has read the whole partition."""
        reader = ChangelogReader()
        reader.read(self.log(topic, partition).records)  # type: ignore[arg-type]
        return reader
