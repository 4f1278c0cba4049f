"""Which process tells: of all delivery workers the one that has the partition of the topic of notices.

A consumer group gives it to one of them. Whoever gets it starts a producer under one name, which fences
the one before: a process that slept while it lost the partition can't note anything any more, and so sends
nothing that is sent once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_consumer, new_producer
from agents.notices.notes import Note, Notes, note_record
from agents.notices.notice import NoticeKey
from agents.notices.teller import Write
from agents.registry.fencing import WriterForbidden, fencing_producer, note_failure
from agents.registry.topic import publish, read_all
from agents.warnings import Warnings

log = structlog.get_logger("turnstile.notices")

POLL_MS: Final = 500
AGAIN_SECONDS: Final = 5.0
STOPPED: Final = "notices_stopped"
"""The code of the warning that nothing is told now."""

Tell = Callable[[Notes, Write], Awaitable[None]]
"""Tells until it is cancelled, given what was noted before."""


class Claim:
    """Of one process. ``group`` names the consumer group and the producer."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        group: str,
        tell: Tell,
        warnings: Warnings,
        *,
        fences: bool,
        **group_times: int,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._group = group
        self._tell = tell
        self._warnings = warnings
        self._fences = fences
        self._group_times = group_times
        self._telling: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """This process tells."""
        return self._telling is not None

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
        consumer.subscribe([self._topic], listener=_Listener(self._gained, self._lost))
        await consumer.start()
        try:
            while self._telling is None or not self._telling.done():
                await consumer.getmany(timeout_ms=POLL_MS)  # its records are our own
            self._telling.result()
        finally:
            await self._lost()
            await consumer.stop()

    async def _gained(self) -> None:
        await self._lost()
        self._telling = asyncio.create_task(self._tell_alone(), name="notices")

    async def _lost(self) -> None:
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await telling

    async def _tell_alone(self) -> None:
        """Raises KafkaError where it can't go on for now."""
        producer = await self._producer()
        try:
            async with committed_consumer(self._broker) as consumer:
                notes = await read_all(consumer, Notes(self._topic))
            self._warnings.clear(STOPPED, self._topic)
            log.info("tells_notices", topic=self._topic, noted=len(notes.published))

            async def write(of: Sequence[tuple[NoticeKey, Note | None]]) -> None:
                records = [note_record(*each) for each in of]
                if not self._fences:
                    await publish(producer, self._topic, records)
                    return
                async with producer.transaction():
                    await publish(producer, self._topic, records)

            await self._tell(notes, write)
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
        text = f"notices aren't sent by this process now, and it tries again: {error!r}"
        self._warnings.note(STOPPED, self._topic, text)


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
