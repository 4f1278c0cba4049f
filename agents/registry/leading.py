"""Which process leads: of all that take part the one that has the one partition of a compacted topic.

A consumer group gives it to one of them. Whoever gets it starts a producer under one name, which fences
the one before: a process that slept while it lost the partition can't note anything any more, and so does
nothing that is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_consumer, new_producer
from agents.registry.fencing import WriterForbidden, fencing_producer, note_failure
from agents.registry.registry import Registry
from agents.registry.topic import publish, read_all
from agents.warnings import Warnings

log = structlog.get_logger("turnstile.leading")

POLL_MS: Final = 500
AGAIN_SECONDS: Final = 5.0

Known = TypeVar("Known", bound=Registry[Any, Any])
NotedRecord = tuple[bytes, bytes | None]
"""Key and value; None: nothing needs to be known of the key any more."""
Write = Callable[[Sequence[NotedRecord]], Awaitable[None]]
"""Notes something on the topic, all or nothing where the broker has transactions; returns when that is
certain. Raises KafkaError where another process leads by now."""


class Leading(Generic[Known]):
    """Of one process. ``group`` names the consumer group and the producer.

    ``lead`` leads until it is cancelled, given what was noted before; nobody else notes anything meanwhile.
    ``told`` is (code, text) of the warning while this process can't lead.
    """

    def __init__(
        self,
        broker: Broker,
        known: Callable[[], Known],
        group: str,
        lead: Callable[[Known, Write], Awaitable[None]],
        warnings: Warnings,
        told: tuple[str, str],
        *,
        fences: bool,
        **group_times: int,
    ) -> None:
        self._broker = broker
        self._known = known
        self._topic = known().topic
        self._group = group
        self._lead = lead
        self._warnings = warnings
        self._told = told
        self._fences = fences
        self._group_times = group_times
        self._leading: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """This process leads."""
        return self._leading is not None

    async def run(self) -> None:
        """Take part until cancelled."""
        while True:
            try:
                await self._take_part()
            except KafkaError as error:
                self._note_stopped(error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _take_part(self) -> None:
        consumer = new_consumer(self._broker, self._group, auto_offset_reset="latest", **self._group_times)
        try:
            consumer.subscribe([self._topic], listener=_Listener(self._gained, self._lost))
            await consumer.start()
            while self._leading is None or not self._leading.done():
                await consumer.getmany(timeout_ms=POLL_MS)  # its records are our own
            self._leading.result()
        finally:
            try:
                await self._lost()
            finally:
                await consumer.stop()

    async def _gained(self) -> None:
        await self._lost()
        self._leading = asyncio.create_task(self._lead_alone(), name=f"leading {self._topic}")

    async def _lost(self) -> None:
        telling, self._leading = self._leading, None
        if telling is not None:
            telling.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await telling

    async def _lead_alone(self) -> None:
        """Raises KafkaError where it can't go on for now."""
        producer = await self._producer()
        try:
            async with committed_consumer(self._broker) as consumer:
                known = await read_all(consumer, self._known())
            self._warnings.clear(self._told[0], self._topic)
            log.info("leads", topic=self._topic, noted=len(known.published))

            turn = asyncio.Lock()  # a producer has one transaction at a time

            async def write(records: Sequence[NotedRecord]) -> None:
                async with turn:
                    if not self._fences:
                        await publish(producer, self._topic, records)
                        return
                    async with producer.transaction():
                        await publish(producer, self._topic, records)

            await self._lead(known, write)
        finally:
            await producer.stop()
            note_failure(producer)

    async def _producer(self) -> AIOKafkaProducer:
        try:
            producer = await fencing_producer(self._broker, self._group) if self._fences else None
        except WriterForbidden as error:
            self._note_stopped(error)
            raise KafkaError(str(error)) from None
        if producer is None:
            self._fences = False
            producer = new_producer(self._broker, idempotence=False)
            await producer.start()
        return producer

    def _note_stopped(self, error: Exception) -> None:
        code, text = self._told
        self._warnings.note(code, self._topic, f"{text}: {error!r}")


@ConsumerRebalanceListener.register
class _Listener:
    """Knows when the partition comes and goes."""

    def __init__(self, gained: Callable[[], Awaitable[None]], lost: Callable[[], Awaitable[None]]) -> None:
        self._gained = gained
        self._lost = lost

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._lost()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        if assigned:
            await self._gained()
