"""The one writer of definitions: read, check, write, as if nobody else wrote in between.

All processes write all kinds of definitions under one transactional id. Who begins to write fences whoever
began before: that one's transaction fails, it reads again and decides again. A broker without transactions
can't fence. There the order of the topic decides: who reads that another record of the version came first
has lost, and decides again. Both kinds of writer look at that, so one that fences is safe beside one that
doesn't (docs/decisions/0034).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_producer
from agents.registry.fencing import fencing_producer, note_failure
from agents.registry.registry import Registry
from agents.registry.topic import LOAD_RECORDS, POLL_MS

log = structlog.get_logger("turnstile.publisher")

CHANGE_SECONDS: Final = 30.0
"""How long a change may take, with all that it waits for."""
_FIRST_WAIT_SECONDS: Final = 0.02
_LONGEST_WAIT_SECONDS: Final = 1.0
Record = tuple[bytes, bytes | None]
"""Key and value."""
Result = TypeVar("Result")
Read = TypeVar("Read", bound=Registry[Any, Any])


@dataclass(frozen=True, slots=True)
class Change(Generic[Result]):
    """What is to be written, and what that comes to. Without records nothing is written."""

    result: Result
    records: Sequence[Record] = ()
    """Of the topic of definitions."""
    audit: Sequence[Record] = ()
    """Of the audit topic, if the change was made."""


class _Lost(Exception):
    """Another writer came first."""


class DefinitionsWriter:
    """Reads and writes the topics of definitions. One process has one; ``change`` and ``read`` take turns.

    Each topic has one registry, which only ever comes here: it keeps what was read, and where. One that isn't
    there yet is empty. ``fences``: whether to try transactions (the setting ``kafka.idempotence``; such
    brokers have neither). Clients are open only while something is read or written.
    """

    def __init__(self, broker: Broker, audit: str, transactional_id: str, *, fences: bool = True) -> None:
        self._broker = broker
        self._audit = audit
        self._transactional_id = transactional_id
        self._fences = fences
        self._turn = asyncio.Lock()

    async def read(self, *registries: Registry[Any, Any]) -> None:
        """Have them take all that is published now; the next ``read`` or ``change`` changes them.

        Raises KafkaError, TimeoutError.
        """
        async with (
            self._turn,
            asyncio.timeout(CHANGE_SECONDS),
            self._reading(registries) as (consumer, there),
        ):
            for each in there:
                await self._catch_up(consumer, each)

    async def change(
        self,
        registry: Read,
        decide: Callable[[Read], Change[Result]],
        beside: Sequence[Registry[Any, Any]] = (),
    ) -> Result:
        """Make the change that ``decide`` makes of all that is published. What it raises ends the change.

        ``decide`` runs in a thread, and once more whenever another writer came first. What it looks at
        ``beside`` the registry is read to the end, too: nobody changes that either until this is written,
        where the broker can fence. The registry's topic must be there.

        Raises KafkaError, TimeoutError (it isn't known whether the change was made), WriterForbidden.
        """
        registries: list[Registry[Any, Any]] = [*beside, registry]
        async with (
            self._turn,
            asyncio.timeout(CHANGE_SECONDS),
            self._reading(registries) as (consumer, there),
        ):
            for attempt in count():
                try:
                    async with self._writing() as producer:
                        for each in there:
                            await self._catch_up(consumer, each)
                        change = await asyncio.to_thread(decide, registry)
                        if change.records:
                            await self._write(consumer, producer, registry, change)
                        return change.result
                except (_Lost, ProducerFenced):
                    await asyncio.sleep(_pause_seconds(attempt))
        raise AssertionError("unreachable")

    # -- clients ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reading(
        self, registries: Sequence[Registry[Any, Any]]
    ) -> AsyncIterator[tuple[AIOKafkaConsumer, list[Registry[Any, Any]]]]:
        """Those of the registries whose topics are there, and a consumer of them."""
        async with committed_consumer(self._broker) as consumer:
            topics = await consumer.topics()
            there = [each for each in registries if each.topic in topics]
            consumer.assign([TopicPartition(each.topic, 0) for each in there])
            for each in there:
                consumer.seek(TopicPartition(each.topic, 0), each.position)
            await asyncio.sleep(0)  # otherwise aiokafka's stop raises CancelledError if nothing is asked
            yield consumer, there

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer; every writer that began earlier is fenced from here on, where the broker can."""
        producer = await self._fencing() if self._fences else None
        if producer is None:
            producer = new_producer(self._broker, idempotence=False)
            await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()
            note_failure(producer)

    async def _fencing(self) -> AIOKafkaProducer | None:
        """None: the broker has no transactions."""
        producer = await fencing_producer(self._broker, self._transactional_id)
        if producer is None:
            self._fences = False
            log.info("no_transactions", instead="the order of the topic decides")
        return producer

    # -- reading and writing ---------------------------------------------------------------------------

    async def _catch_up(
        self,
        consumer: AIOKafkaConsumer,
        registry: Registry[Any, Any],
        own: Collection[int] = (),
        *,
        wait: bool = True,
    ) -> dict[int, bool]:
        """Take everything that is on the topic now. Of the offsets ``own`` that were read: whether the record
        stands. ``wait``: until all of those were read; the embedded broker may not tell its end at once."""
        partition, found = TopicPartition(registry.topic, 0), dict[int, bool]()
        end = (await consumer.end_offsets([partition]))[partition]
        if wait:
            end = max(end, max(own, default=-1) + 1)
        while await consumer.position(partition) < end:
            polled = await consumer.getmany(partition, timeout_ms=POLL_MS, max_records=LOAD_RECORDS)
            for record in polled.get(partition, []):
                stands = registry.take(record)
                if record.offset in own:
                    found[record.offset] = stands
            registry.position = await consumer.position(partition)
            await asyncio.sleep(0)
        return found

    async def _write(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        registry: Registry[Any, Any],
        change: Change[Result],
    ) -> None:
        """Raises _Lost where another writer came first or the transaction was not committed, ProducerFenced
        when one came after."""
        own: list[int] = []
        sent = False
        try:
            async with self._together(producer):
                own = await self._send(producer, registry.topic, change.records)
                if self._fences:
                    await self._send(producer, self._audit, change.audit)
                sent = True
        except KafkaError as error:
            # The next writer's begin ended this transaction, or it was committed and the answer never came.
            # Kafka answers a commit with UNKNOWN_SERVER_ERROR, too, while it begins the next writer's.
            if own and await self._was_committed(consumer, registry, own):
                return
            if sent and not isinstance(error, ProducerFenced):
                log.warning("transaction_not_ended", error=repr(error), cause=repr(error.__cause__))
                raise _Lost from error
            raise
        await self._see(consumer, producer, registry, own, change.records)
        if not self._fences:
            await self._send(producer, self._audit, change.audit)

    def _together(self, producer: AIOKafkaProducer) -> AbstractAsyncContextManager[Any]:
        """All that is written in it is there, or nothing, where the broker has transactions."""
        return producer.transaction() if self._fences else nullcontext()

    async def _was_committed(
        self, consumer: AIOKafkaConsumer, registry: Registry[Any, Any], own: list[int]
    ) -> bool:
        async with self._writing():
            return await self._catch_up(consumer, registry, own, wait=False) == dict.fromkeys(own, True)

    async def _see(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        registry: Registry[Any, Any],
        own: list[int],
        records: Sequence[Record],
    ) -> None:
        """Read what was written. Raises _Lost where it came second.

        Compaction leaves the last record of a key, so the one that stands is written once more, until it is
        the last one.
        """
        lost = await self._lost(consumer, registry, own, records)
        if not lost:
            return
        while again := [each for each in map(registry.standing, lost) if each is not None]:
            async with self._together(producer):
                own = await self._send(producer, registry.topic, again)
            lost = await self._lost(consumer, registry, own, again)
        raise _Lost

    async def _lost(
        self,
        consumer: AIOKafkaConsumer,
        registry: Registry[Any, Any],
        own: list[int],
        records: Sequence[Record],
    ) -> list[bytes]:
        """The keys of those records, written at the offsets ``own``, that don't stand."""
        stands = await self._catch_up(consumer, registry, own)
        return [key for offset, (key, _) in zip(own, records, strict=True) if not stands.get(offset, True)]

    @staticmethod
    async def _send(producer: AIOKafkaProducer, topic: str, records: Sequence[Record]) -> list[int]:
        """Their offsets, when all replicas have them."""
        if not records:
            return []
        sent = [await producer.send(topic, value, key, partition=0) for key, value in records]
        await asyncio.wait(sent)  # all of them: none may fail with nobody looking
        return [each.result().offset for each in sent]


def _pause_seconds(attempt: int) -> float:
    """At random, so that two writers don't fence each other for ever."""
    return random.uniform(0, min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(attempt, 16)))
