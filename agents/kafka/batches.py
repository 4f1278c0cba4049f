"""Records on their way to Kafka, in as few produce batches as they fit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from agents.kafka.raw.hooks import Ready
from tables.changelog.format import RECORD_BYTES

Headers = Sequence[tuple[str, bytes | None]]
_NO_HEADERS: Headers = []
PRODUCE_BATCH_BYTES = 900_000
"""Just under the broker's default of 1 MiB for one batch: what the worker's producer puts into one."""


class Batches:
    """Records on their way to one topic partition, in order.

    ``max_bytes`` is what the topic takes in one batch (``max.message.bytes``).
    """

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partition: int, max_bytes: int = PRODUCE_BATCH_BYTES
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._max_bytes = max_bytes if max_bytes < PRODUCE_BATCH_BYTES else None
        self._batch = producer.create_batch()
        self._sent: list[asyncio.Future[Any]] = []
        self._is_sent = False

    async def add(
        self,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int | None = None,
        headers: Headers = _NO_HEADERS,
    ) -> None:
        if self._is_sent:
            self._batch, self._is_sent = self._producer.create_batch(), False
        is_full = self._max_bytes is not None and (
            self._batch.record_count() > 0
            and self._batch.size() + record_bytes(key, value, headers) > self._max_bytes
        )
        metadata = (
            None
            if is_full
            else self._batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        )
        if metadata is None:
            await self.send()
            self._batch, self._is_sent = self._producer.create_batch(), False
            self._batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)

    async def add_ready(self, batch: Ready) -> None:
        """A finished batch, after what was added."""
        if not self._is_sent and self._batch.record_count():
            await self.send()
        self._batch = batch
        await self.send()

    async def send(self) -> None:
        """Put what was added on its way."""
        self._batch.close()
        self._sent.append(
            await self._producer.send_batch(self._batch, self._topic, partition=self._partition)
        )
        self._is_sent = True

    async def end(self) -> None:
        """Put what was added last on its way; nothing may be added before ``acknowledged``."""
        if not self._is_sent:
            await self.send()

    async def acknowledged(self) -> int:
        """Wait for every record; the offset after the last one. Raises what the producer raises."""
        await self.end()
        first_of_last = 0
        for future in self._sent:
            first_of_last = (await future).offset
        return first_of_last + int(self._batch.record_count())


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """What a record has at most when it is alone in a produce batch."""
    sizes = (len(name.encode()) + len(content or b"") + 20 for name, content in headers)
    return RECORD_BYTES + len(key or b"") + len(value or b"") + sum(sizes)
