"""A list as records of a topic, in one transaction that ends with an end record.

The transactional id is the push's, so of two processes that deliver the same push the first can't commit any
more. Before anything is written the topic is asked whether the list was committed already.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import (
    Delivered,
    MayAppear,
    Progress,
    QueueName,
    TargetRefused,
    TargetUnavailable,
    may_always,
)
from agents.pushes.targets.kafka_batches import list_batches
from agents.pushes.targets.kafka_clients import KafkaPlace, started_consumer, started_producer, stop_producer
from agents.pushes.targets.kafka_end import (
    END_HEADER,
    END_PARTITION,
    LIST_HEADER,
    End,
    committed_end,
    encode_end,
    end_of,
)
from agents.registry.fencing import note_failure
from agents.sinks.kafka.errors import NOT_SUPPORTED, TOO_LARGE

CLOCKS_DIFFER_MS: Final = 600_000
"""How far the clocks of brokers and ours may be apart."""
TOPIC_SECONDS: Final = 3.0
"""How long a topic is waited for that was made a moment ago."""
COMMIT_SECONDS: Final = 120.0
ABORT_SECONDS: Final = 10.0
"""If it takes longer, the next one to deliver the push aborts the transaction."""
IN_HAND: Final = 64
"""Batches that are sent and not acknowledged."""
_REFUSED: Final = (
    *TOO_LARGE,
    *NOT_SUPPORTED,
    InvalidTopicError,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)


class KafkaTarget:
    """The ``Target`` of one push."""

    queue: QueueName = "kafka"

    def __init__(self, place: KafkaPlace) -> None:
        self._place = place

    async def deliver(
        self, spooled: SpooledList, progress: Progress, may_appear: MayAppear = may_always
    ) -> Delivered:
        """Raises TargetRefused, TargetUnavailable."""
        if not spooled.is_framed:
            raise TargetRefused(
                f"rows of the format {spooled.push.content.format.kind} are for files; allowed: kafka"
            )
        async with self._writing(spooled.push) as producer:
            end = await self._committed(spooled.list_id, spooled.instant_ms)
            if end is None:
                end = await self._write(producer, spooled, progress, may_appear)
        progress(end.rows)
        return self._delivered(end)

    async def find(self, push: Push, run_id: str, list_id: str, since_ms: int = 0) -> Delivered | None:
        """Whether it was committed. Nobody can commit it any more after that."""
        async with self._writing(push):
            end = await self._committed(list_id, since_ms)
        return None if end is None else self._delivered(end)

    async def close(self) -> None: ...

    @contextlib.asynccontextmanager
    async def _writing(self, push: Push) -> Any:
        """The push's producer. Raises what its exceptions mean."""
        refusal = self._place.why_not(self._place.topic) if self._place.guard is None else None
        if refusal is not None:
            raise TargetRefused(refusal)
        producer = await started_producer(self._place, push.key)
        try:
            await self._see_topic(producer)
            yield producer
        except (KafkaError, OSError) as error:
            self._raise_for(error)
        except AssertionError as error:  # so aiokafka tells that the transaction has failed already
            raise TargetUnavailable(f"{self._place.where}: {error}") from None
        finally:
            await stop_producer(producer)
            note_failure(producer)

    async def _see_topic(self, producer: AIOKafkaProducer) -> None:
        """aiokafka waits a minute for a topic that isn't there. Raises UnknownTopicOrPartitionError."""
        deadline = time.monotonic() + TOPIC_SECONDS
        topic = self._place.topic
        while not (await producer.client.fetch_all_metadata()).partitions_for_topic(topic):
            if time.monotonic() > deadline:
                raise UnknownTopicOrPartitionError(topic)
            await asyncio.sleep(0.2)
        await producer.partitions_for(topic)

    async def _committed(self, list_id: str, since_ms: int) -> End | None:
        consumer = await started_consumer(self._place)
        try:
            from_ms = since_ms - CLOCKS_DIFFER_MS
            return await committed_end(consumer, self._place.topic, list_id, from_ms)
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()

    async def _write(
        self,
        producer: AIOKafkaProducer,
        spooled: SpooledList,
        progress: Progress,
        may_appear: MayAppear,
    ) -> End:
        topic, end = self._place.topic, end_of(spooled)
        partitions = len(await producer.partitions_for(topic))
        await producer.begin_transaction()
        try:
            await self._send(producer, spooled, partitions, progress)
            headers = [(LIST_HEADER, spooled.list_id.encode()), (END_HEADER, spooled.list_id.encode())]
            await producer.send_and_wait(
                topic,
                encode_end(end),
                key=spooled.push.key.encode(),
                partition=END_PARTITION,
                timestamp_ms=max(spooled.instant_ms, time.time_ns() // 1_000_000),
                headers=headers,
            )
            # This producer started before it was asked: whoever leads later fences it when it starts its own.
            await may_appear()
            async with asyncio.timeout(COMMIT_SECONDS):
                await producer.commit_transaction()
        except BaseException:
            # aiokafka asserts that a transaction may still be aborted; one that is fenced, or about to be
            # committed, may not.
            with contextlib.suppress(KafkaError, OSError, AssertionError, asyncio.CancelledError):
                async with asyncio.timeout(ABORT_SECONDS):
                    await producer.abort_transaction()
            raise
        return end

    async def _send(
        self, producer: AIOKafkaProducer, spooled: SpooledList, partitions: int, progress: Progress
    ) -> None:
        """Batches are made in a thread; as many as ``IN_HAND`` wait for brokers."""
        made = list_batches(producer, spooled, partitions, self._place.compression == "none")
        waiting: list[asyncio.Future[Any]] = []
        rows = 0
        while (found := await asyncio.to_thread(next, made, None)) is not None:
            partition, builder, count = found
            sent = await producer.send_batch(builder, self._place.topic, partition=partition)
            sent.add_done_callback(_seen)
            waiting.append(sent)
            if len(waiting) >= IN_HAND:
                await asyncio.gather(*waiting[: IN_HAND // 2])
                del waiting[: IN_HAND // 2]
            rows += count
            progress(rows)
        await asyncio.gather(*waiting)

    def _delivered(self, end: End) -> Delivered:
        return Delivered(end.list_id, (self._place.where,), end.rows, end.bytes)

    def _raise_for(self, error: KafkaError | OSError) -> NoReturn:
        place = self._place
        text = place.mask(f"{place.where}: {type(error).__name__}: {error}")
        if place.guard is not None and place.guard.refusal is not None:
            raise TargetRefused(place.mask(str(place.guard.refusal))) from None
        if isinstance(error, UnknownTopicOrPartitionError):
            raise TargetRefused(
                f"the topic '{place.topic}' does not exist, or isn't shown to the account"
            ) from None
        if isinstance(error, ProducerFenced):
            raise TargetUnavailable(f"another process delivers this push now: {text}") from None
        if isinstance(error, _REFUSED):
            raise TargetRefused(text) from None
        raise TargetUnavailable(text) from None


def _seen(sent: asyncio.Future[Any]) -> None:
    """Of batches that fail together the first is told; asyncio would log the others."""
    if not sent.cancelled():
        sent.exception()
