"""A producer of which there is one at a time: whoever starts it under a name fences the one before."""

from __future__ import annotations

from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedVersionError,
)

from agents.kafka.broker import Broker
from agents.kafka.clients import new_producer

TRANSACTION_MS: Final = 10_000
"""After so long a broker gives up the transaction of a writer that is gone; readers wait for that."""
_CANT: Final = (UnknownError, UnsupportedVersionError, IncompatibleBrokerVersion)
"""What a broker without transactions answers; the embedded one: UnknownError."""


class WriterForbidden(Exception):
    """The account may not write under the transactional id; the text says what it needs."""


async def fencing_producer(broker: Broker, transactional_id: str) -> AIOKafkaProducer | None:
    """Started; None: the broker has no transactions. Raises WriterForbidden, KafkaError."""
    producer = new_producer(
        broker, idempotence=True, transactional_id=transactional_id, transaction_timeout_ms=TRANSACTION_MS
    )
    try:
        await producer.start()
    except _CANT:
        await producer.stop()
        return None
    except TransactionalIdAuthorizationFailed:
        await producer.stop()
        raise WriterForbidden(
            f"this account may not write under the transactional id {transactional_id}: it needs "
            f"the operations Write and Describe on it (kafka-acls.sh --add --allow-principal User:NAME "
            f"--transactional-id {transactional_id} --operation Write --operation Describe)"
        ) from None
    except BaseException:
        await producer.stop()
        raise
    return producer


def note_failure(producer: Any) -> None:
    """aiokafka keeps a fenced transaction's error where nobody asks for it, and asyncio would log that."""
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *(each for of in accumulator._batches.values() for each in of)]
    waiters = [each._drain_waiter for each in batches]
    waiters.append(getattr(producer._txn_manager, "_transaction_waiter", None))
    for waiter in waiters:
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()
