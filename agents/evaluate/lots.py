"""Outputs for one topic partition, in order, in as few batches as they fit (``agents.evaluate.outputs``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from agents.evaluate.dead_letters import Headers
from agents.evaluate.steps import DeadLetter, Record, Step
from agents.kafka.batches import record_bytes
from agents.kafka.placement import Origin
from agents.kafka.producer import MAX_REQUEST_BYTES, REFUSED, TOO_LARGE
from agents.kafka.raw.hooks import Ready
from agents.registry.erasures import Receipt
from rules.state.identities import Claim
from rules.state.row import Transition

Sent = tuple[int | None, bytes | None, bytes | None, Headers]
"""Timestamp (ms; None: now), key, value and headers of a record."""


@dataclass(slots=True)
class BatchLimits:
    """Sizes of batches that topics take, as far as refusals have shown. Kept for the life of a process."""

    batch_bytes: dict[str, int] = field(default_factory=dict)

    def refused(self, topic: str, size: int) -> None:
        """A batch of several records was too large: half of it may fit."""
        self.batch_bytes[topic] = min(size // 2, self.batch_bytes.get(topic, size))


@dataclass(frozen=True, slots=True)
class Repartitioned:
    """A record on its way to its user's partition; ``step`` is the one that found it."""

    step: Step
    user_id: str
    record: Record
    origin: Origin


Source = Transition | Claim | DeadLetter | Repartitioned | Receipt
"""What a record was made of."""
TopicPlace = tuple[str, int]
"""Topic and partition."""


class Refusals(Protocol):
    """Who knows what to do with a record that its topic refused when it came alone."""

    def smaller(self, source: Source, sent: Sent, error: BaseException) -> Iterator[Sent]:
        """The forms to try in its place, the largest first."""

    async def given_up(self, source: Source, sent: Sent, place: TopicPlace, error: BaseException) -> None:
        """No form was taken."""


Entry = tuple[Sent, Source]


class Lot:
    """Outputs for one topic partition, in order, in as few batches as they fit."""

    def __init__(
        self, producer: AIOKafkaProducer, limits: BatchLimits, topic: str, partition: int, refusals: Refusals
    ) -> None:
        self._producer = producer
        self._limits = limits
        self._topic = topic
        self._partition = partition
        self._refusals = refusals
        self._batches: list[tuple[Any, Sequence[Entry]]] = []
        self._last: list[Entry] = []
        """Of the last batch, while it takes more."""

    def add(self, sent: Sent, source: Source) -> None:
        limit = self._limits.batch_bytes.get(self._topic)
        timestamp_ms, key, value, headers = sent
        if self._batches:
            builder = self._batches[-1][0]
            fits = limit is None or builder.size() + size_of(sent) <= limit
            if fits and builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers):
                self._last.append((sent, source))
                return
        self._last = [(sent, source)]
        self._batches.append((self._built([sent]), self._last))

    def add_ready(self, batch: Ready, entries: Sequence[Entry]) -> None:
        """A finished batch, after what was added."""
        self._batches.append((batch, entries))

    async def send(self) -> None:
        """Send everything and wait for it. Raises what the producer raises, but for refusals."""
        for builder, entries in self._batches:
            await self._send(builder, entries)
        self._batches = []

    async def _send(self, builder: Any, entries: Sequence[Entry]) -> None:
        error = await self._refusal(builder, entries[0][0] if len(entries) == 1 else None)
        if error is None:
            return
        if len(entries) == 1:
            await self._send_smaller(*entries[0], error)
            return
        if isinstance(error, TOO_LARGE):
            self._limits.refused(self._topic, sum(size_of(sent) for sent, _ in entries))
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            await self._send(self._built([sent for sent, _ in half]), half)

    async def _send_smaller(self, sent: Sent, source: Source, error: BaseException) -> None:
        for form in self._refusals.smaller(source, sent, error):
            if await self._refusal(self._built([form]), form) is None:
                return
        await self._refusals.given_up(source, sent, (self._topic, self._partition), error)

    async def _refusal(self, builder: Any, alone: Sent | None) -> BaseException | None:
        """Send a batch, of one record if ``alone`` is there; None when it is in Kafka."""
        builder.close()
        if alone is not None and size_of(alone) > MAX_REQUEST_BYTES:  # batches of several have a limit
            text = f"{size_of(alone)} bytes are more than a request may have"
            return cast(BaseException, MessageSizeTooLargeError(text))
        sent = await self._producer.send_batch(builder, self._topic, partition=self._partition)
        try:
            await sent
        except REFUSED as error:
            return cast(BaseException, error)
        return None

    def _built(self, records: Iterable[Sent]) -> Any:
        builder = self._producer.create_batch()
        for timestamp_ms, key, value, headers in records:
            builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        return builder


def size_of(sent: Sent) -> int:
    """At most so many bytes does the record have when it goes alone."""
    _, key, value, headers = sent
    return record_bytes(key, value, headers)
