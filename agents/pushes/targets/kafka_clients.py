"""The clients of a list's topic: a transactional producer, and a consumer that reads what was committed.

Of a cluster that isn't our own each connection is checked (``agents.sinks.kafka.guard``).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    ProducerClosed,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedVersionError,
)

from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.kafka.broker import Broker
from agents.kafka.clients import client_options, new_consumer, new_producer
from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.places import Mask, no_mask
from agents.sinks.kafka.cluster import cluster_id, own_cluster_id
from agents.sinks.kafka.errors import opening_error
from agents.sinks.kafka.guard import KafkaGuard, guard_consumer, guard_producer

BATCH_BYTES: Final = 256 * 1024
"""A request has one batch of each partition, and brokers take 100 MiB at once."""
TRANSACTION_MS: Final = 900_000
"""After so long a broker gives up the transaction of a process that is gone; the most that brokers allow by
default. Who starts again ends it at once."""
TRANSACTIONAL_PREFIX: Final = "turnstile.push."
REQUEST_MS: Final = 60_000
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 10.0
_CANT: Final = (UnknownError, UnsupportedVersionError, IncompatibleBrokerVersion)
"""What a broker without transactions answers."""

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
COMPRESSIONS: Final[tuple[Compression, ...]] = get_args(Compression)


def _all_allowed(topic: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class KafkaPlace:
    """A topic. ``guard`` None: it is our own cluster; ``own``: our own cluster, where it may be that one by
    another address. ``why_not`` says why nothing may be written to a topic of our own cluster, if so.
    ``transactional_prefix`` begins the transactional ids, which accounts are allowed by prefix."""

    broker: Broker
    topic: str
    guard: KafkaGuard | None = None
    own: Broker | None = None
    why_not: Callable[[str], str | None] = _all_allowed
    transactional_prefix: str = TRANSACTIONAL_PREFIX
    compression: Compression = "none"
    mask: Mask = no_mask

    @property
    def where(self) -> str:
        """For people."""
        return f"topic {self.topic} at {self.broker.bootstrap}"


async def started_producer(place: KafkaPlace, push_key: str) -> AIOKafkaProducer:
    """The only one of a push: from now on an earlier one can't commit any more.

    Raises TargetRefused, TargetUnavailable.
    """
    transactional_id = place.transactional_prefix + push_key
    options: dict[str, Any] = {} if place.compression == "none" else {"compression_type": place.compression}
    producer = _made(
        place,
        lambda: new_producer(
            place.broker,
            idempotence=True,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_MS,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_MS,
            linger_ms=0,
            **options,
        ),
    )
    if place.guard is not None:
        guard_producer(producer, place.guard)
    try:
        async with asyncio.timeout(START_SECONDS):
            await producer.start()
        if place.guard is not None:
            for each in producer.client.cluster.brokers():
                await place.guard.check(each.host, each.port)
            await _refuse_own(place, producer)
    except (TargetRefused, TargetUnavailable):
        await stop_producer(producer)
        raise
    except _CANT:
        await stop_producer(producer)
        raise TargetRefused(f"{place.broker.bootstrap} has no transactions, which a list needs") from None
    except TransactionalIdAuthorizationFailed:
        await stop_producer(producer)
        raise TargetRefused(
            f"the account may not write under the transactional id {transactional_id}: it needs the "
            "operations Write and Describe on it"
        ) from None
    except (KafkaError, OSError) as error:
        await stop_producer(producer)
        raise await _opening(place, error) from None
    except BaseException:
        await stop_producer(producer)
        raise
    return producer


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """aiokafka's own waits for as long as the coordinator of transactions is away."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await producer.stop()
    except (KafkaError, OSError):
        # What waits for batches ends with them; otherwise the sender's task would wait for it for ever.
        producer._message_accumulator.fail_all(ProducerClosed())
        # A batch that is about to be sent again isn't where it looks for it (KeyError).
        with contextlib.suppress(KafkaError, OSError, KeyError, asyncio.CancelledError):
            async with asyncio.timeout(STOP_SECONDS):
                await producer._sender.close()
        await producer.client.close()


async def _refuse_own(place: KafkaPlace, producer: AIOKafkaProducer) -> None:
    """Raises TargetRefused for a topic of our own cluster, TargetUnavailable, KafkaError."""
    reason = place.why_not(place.topic)
    if reason is None or place.own is None:
        return
    try:
        ours = await own_cluster_id(place.own)
    except SinkUnavailable as error:
        raise TargetUnavailable(str(error)) from None
    if await cluster_id(producer.client) in (ours, None):
        raise TargetRefused(reason)


async def started_consumer(place: KafkaPlace) -> AIOKafkaConsumer:
    """Raises TargetRefused, TargetUnavailable."""
    broker = replace(place.broker, isolation_level="read_committed")
    consumer = _made(place, lambda: new_consumer(broker))
    if place.guard is not None:
        guard_consumer(consumer, place.guard)
    try:
        await consumer.start()
    except (KafkaError, OSError) as error:
        await consumer.stop()
        raise await _opening(place, error) from None
    except BaseException:
        await consumer.stop()
        raise
    return consumer


def _made(place: KafkaPlace, make: Callable[[], Any]) -> Any:
    if place.guard is not None:
        place.guard.refusal = None
    try:
        return make()
    except (OSError, ssl.SSLError) as error:
        raise TargetRefused(f"the certificates of {place.broker.bootstrap} can't be read: {error}") from None


async def _opening(place: KafkaPlace, error: BaseException) -> TargetRefused | TargetUnavailable:
    options = {**client_options(place.broker), "request_timeout_ms": REQUEST_MS}
    found = await opening_error(options, error, place.guard)
    text = place.mask(str(found))
    is_refused = isinstance(found, SinkMisconfigured) or (place.guard is not None and place.guard.refusal)
    return TargetRefused(text) if is_refused else TargetUnavailable(text)
