"""Where raw fetches leave aiokafka, and finished batches enter it.

It has no interface for either, so this module, and no other, takes hold of its insides: their version is
pinned, and tests fail when they have another shape (``tests/agents/kafka/raw``).

- ``Fetcher._proc_fetch_request`` puts a ``FetchResult`` for each partition into ``Fetcher._records``, and
  ``Fetcher.fetched_records`` calls its ``getall``. Ours reads all records at once, outside of Python.
- ``AIOKafkaProducer.send_batch`` takes a ``BatchBuilder``. ``Ready`` is one that is built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import proxy

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer import fetcher

from agents.kafka.consumed import Consumed
from agents.kafka.raw.records import RawRecords

if TYPE_CHECKING:
    from turnstile_core import Fetched

Stamp = Callable[[bytes, int, int, int, bool], bytes]
"""(batch, producer id, epoch, sequence, whether it is part of a transaction): ``turnstile_core.stamp``."""


@dataclass(frozen=True, slots=True)
class RawFetches:
    """Which records are to come raw, and what reads them.

    ``topics`` says it of a topic. ``fetched`` raises ``unusual`` for a fetch that only aiokafka's own reader
    reads: its records come one by one, as ever.
    """

    topics: Callable[[str], bool]
    fetched: type[Fetched]
    unusual: type[Exception]


def use_raw_records(consumer: AIOKafkaConsumer, raw: RawFetches) -> None:
    """From now on ``getmany`` of this consumer, which is started, gives ``RawRecords`` of some topics.

    ``getone`` can't be called any more.
    """
    source = cast(Any, consumer)._fetcher
    source._proc_fetch_request = partial(_fetch, source, raw, source._proc_fetch_request)


async def _fetch(source: Any, raw: RawFetches, fetch: Any, *args: Any) -> Any:
    has_new = await fetch(*args)
    # Nobody had a turn since the results were put there.
    for tp, result in source._records.items():
        if type(result) is fetcher.FetchResult and raw.topics(tp.topic) and "getall" not in vars(result):
            result.getall = _Reader(result, raw).getall
    return has_new


class _Reader:
    """Reads one ``FetchResult`` in the place of its ``getall``."""

    def __init__(self, result: Any, raw: RawFetches) -> None:
        records = result._partition_records
        records._records_iterator = None  # which holds them, until it ends
        self._result: Any = proxy(result)  # which holds this one
        self._raw = raw
        self._data: bytes = records._records.data
        self._start = 0
        """Where batches begin that were not read yet."""
        self._aborted: Sequence[tuple[int, int]] = ()
        """What is known of aborted transactions there."""
        if records._isolation_level == fetcher.READ_COMMITTED:
            self._aborted = records._aborted_transactions
        self._next_offset: int = records.next_fetch_offset
        self._left: RawRecords | None = None

    def getall(self, max_records: int | None = None) -> Sequence[Consumed]:
        """As ``FetchResult.getall``: records that were not given yet; the position moves behind them."""
        result = self._result
        if not result.check_assignment(result._topic_partition) or not result.has_more():
            return []
        try:
            left = self._left or self._read()
        except self._raw.unusual:
            return self._read_as_ever(max_records)
        taken = left[:max_records]
        self._left = left[len(taken) :]
        self._move(self._next_offset if not self._left else taken.next_offset)
        if not self._left and left.fetched.rest is None:
            result._partition_records = None
        return taken

    def _read(self) -> RawRecords:
        """The next records, if there are any left. Raises ``RawFetches.unusual``."""
        while True:
            fetched = self._raw.fetched(self._data, self._next_offset, self._aborted, self._start)
            self._aborted, self._next_offset = fetched.aborted, fetched.next_offset
            if fetched.rest is not None:
                self._start = fetched.rest
            if len(fetched) or fetched.rest is None:
                topic, partition = self._result._topic_partition
                return RawRecords(topic, partition, fetched)

    def _read_as_ever(self, max_records: int | None) -> Sequence[Consumed]:
        """Leave what was not read yet to aiokafka, which has not begun to read."""
        records = self._result._partition_records
        records._records = fetcher.MemoryRecords(self._data[self._start :])
        records._aborted_transactions = list(self._aborted)
        records._records_iterator = records._unpack_records()
        self._move(self._next_offset)
        del self._result.getall
        found: list[Consumed] = self._result.getall(max_records)
        return found

    def _move(self, next_offset: int) -> None:
        self._result._partition_records.next_fetch_offset = next_offset
        self._result._update_position()


class Ready:
    """A finished batch for ``send_batch``: what aiokafka asks of a ``BatchBuilder``."""

    def __init__(self, batch: bytes, records: int, stamp: Stamp, is_transactional: bool) -> None:
        self._batch = batch
        self._records = records
        self._stamp = stamp
        self._is_transactional = is_transactional

    def append(self, **_: Any) -> None:
        """None: it is full."""

    def close(self) -> None:
        """It is closed."""

    def closed(self) -> bool:
        return True

    def record_count(self) -> int:
        return self._records

    def size(self) -> int:
        return len(self._batch)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Called once; when a batch is sent again, it has the same numbers."""
        self._batch = self._stamp(
            self._batch, producer_id, producer_epoch, base_sequence, self._is_transactional
        )

    def _build(self) -> bytes:
        return self._batch


def ready(producer: AIOKafkaProducer, batch: bytes, records: int, stamp: Stamp) -> Ready:
    """A finished batch (``turnstile_core.batches``, for example) for this producer's ``send_batch``."""
    manager = cast(Any, producer)._txn_manager
    return Ready(batch, records, stamp, manager is not None and manager.transactional_id is not None)
