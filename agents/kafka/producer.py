"""The producer of our processes: aiokafka's, which goes on after a broker refused a batch for what it is.

It also bounds what goes to a broker at once. A broker ends the connection of a request that is larger than
``socket.request.max.bytes`` (100 MiB), and aiokafka puts one batch of every partition into a request.

An idempotent producer numbers the records of a partition. aiokafka counts those of a refused batch, which the
broker has not: it would refuse everything that follows as out of order. Kafka's Java client gives the numbers
back (``TransactionManager.adjustSequencesDueToFailedBatch``), and so does this one.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Final

from aiokafka import errors
from aiokafka.errors import (
    BrokerResponseError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from agents.kafka.broker import Broker
from agents.kafka.clients import EndingProducer, client_options
from agents.kafka.topic_limits import LARGE_MESSAGE_BYTES


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]
    """A record that its topic never takes, such as one without a key on a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"


errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)  # aiokafka knows codes up to 80

TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
REFUSED: Final = (*TOO_LARGE, InvalidTimestampError, InvalidRecordError)
"""What a broker answers when a topic doesn't take records as they are: nothing of the batch was written."""
MAX_REQUEST_BYTES: Final = 2 * LARGE_MESSAGE_BYTES
"""A record that is larger is not sent at all: brokers end the connection of a far too large request."""


REQUEST_BYTES: Final = 2 * MAX_REQUEST_BYTES
"""With so many, a request takes no more batches; those of other partitions go with the next one."""


class Producer(EndingProducer):
    """Bounds requests, and gives the sequence numbers of refused batches back."""

    def __init__(self, broker: Broker, idempotence: bool, **options: Any) -> None:
        super().__init__(
            **client_options(broker),
            acks="all",
            enable_idempotence=idempotence,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=60_000,
            **options,
        )
        accumulator: Any = self._message_accumulator
        append_batch = accumulator._append_batch

        def append(builder: Any, tp: Any) -> Any:
            batch = append_batch(builder, tp)
            # One batch of a partition is under way at a time, so the next one gets the number right after.
            batch.failure = partial(self._batch_failed, batch, batch.failure)
            return batch

        accumulator._append_batch = append
        drain = accumulator.drain_by_nodes

        def drain_some(ignore_nodes: Any, muted_partitions: Any = frozenset()) -> Any:
            later = _later(accumulator, ignore_nodes, muted_partitions)
            return drain(ignore_nodes, muted_partitions | later if later else muted_partitions)

        accumulator.drain_by_nodes = drain_some

    def _batch_failed(self, batch: Any, fail: Any, exception: BaseException) -> None:
        manager: Any = self._txn_manager
        if manager is not None and isinstance(exception, REFUSED) and batch.retry_count:
            manager.increment_sequence_number(batch.tp, -batch.record_count)
        fail(exception=exception)


def _later(accumulator: Any, ignored: Collection[Any], muted: Collection[Any]) -> set[Any]:
    """Partitions whose batches don't fit into the next requests, one for each broker, with those before them.

    They are looked at again when the request is answered: until then its broker is ignored.
    """
    later: set[Any] = set()
    taken: dict[Any, int] = {}
    for tp, waiting in accumulator._batches.items():
        batch = waiting[0]
        node = accumulator._cluster.leader_for_partition(tp)
        if tp in muted or node in (None, -1) or node in ignored or batch.is_empty():
            continue
        size = taken.get(node, 0) + batch._builder.size()
        if node in taken and size > REQUEST_BYTES:
            later.add(tp)
        else:
            taken[node] = size
    return later
