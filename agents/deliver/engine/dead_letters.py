"""Dead letters of a destination: the transition's record untouched, and in headers why it lies there."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from agents.deliver.content.messages import Message, Original
from agents.evaluate.dead_letters import Form, Headers, smaller_forms
from agents.evaluate.outputs import Told
from agents.kafka.producer import MAX_REQUEST_BYTES, REFUSED
from agents.topics.delivery import dead_letter_topic as dead_letter_topic
from rules.time.instants import format_instant

REASON_CHARACTERS = 1_000
OURS = ("error.", "source.", "delivery.")
"""What the names of our headers start with; a replayed letter that dies again gets them again."""
_partition_of = DefaultPartitioner()


def dead_letter_headers(
    original: Original, topic: str, destination: str, code: str, reason: str, attempts: int
) -> list[tuple[str, bytes]]:
    """The record's own headers, then why it is here and where it came from."""
    return [
        *((name, value) for name, value in original.headers if not name.startswith(OURS)),
        ("error.code", code.encode()),
        ("error.message", reason[:REASON_CHARACTERS].encode("utf-8", "replace")),
        ("error.stage", b"deliver"),
        ("source.topic", topic.encode()),
        ("source.partition", str(original.partition).encode()),
        ("source.offset", str(original.offset).encode()),
        ("source.timestamp", str(original.timestamp).encode()),
        ("delivery.destination", destination.encode()),
        ("delivery.attempts", str(attempts).encode()),
        ("delivery.at", format_instant(time.time_ns() // 1_000_000).encode()),
    ]


class DeadLetters:
    """The dead-letter topic of one destination."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        prefix: str,
        destination: str,
        source: str,
        told: Told | None = None,
    ) -> None:
        self.topic = dead_letter_topic(prefix, destination)
        self._producer = producer
        self._destination = destination
        self._source = source
        self._told = told or Told()

    async def bury(self, message: Message, code: str, reason: str) -> None:
        """Write each transition of a message; returns when the brokers have them."""
        await self.bury_records(message.originals, code, reason, message.attempts)

    async def bury_records(
        self, originals: tuple[Original, ...], code: str, reason: str, attempts: int
    ) -> None:
        await asyncio.gather(*(self._bury(each, code, reason, attempts) for each in originals))

    async def _bury(self, original: Original, code: str, reason: str, attempts: int) -> None:
        headers = dead_letter_headers(original, self._source, self._destination, code, reason, attempts)
        form: Form = original.key, original.value, headers
        if not await self._is_taken(form) and not await self._smaller_is_taken(original, headers):
            where = f"{self._source}/{original.partition}@{original.offset}"
            text = f"topic {self.topic} refuses its dead letter in every size; it is only told here: {reason}"
            self._told.warnings.note("dead_letter_refused", where, text)
            return
        origin = self._source, original.partition, original.offset
        self._told.letters.note(code, origin, reason, self.topic)

    async def _is_taken(self, form: Form) -> bool:
        key, value, headers = form
        if key is None and value is None:
            return await self._is_taken_alone(form)  # aiokafka's ``send`` wants one of the two
        try:
            await (await self._producer.send(self.topic, value, key, headers=list(headers)))
        except REFUSED:
            return await self._is_taken_alone(form)  # brokers judge batches: others may have been in it
        return True

    async def _smaller_is_taken(self, original: Original, headers: Headers) -> bool:
        own = [each for each in original.headers if not each[0].startswith(OURS)]
        for form in smaller_forms(original.key, original.value, own, headers[len(own) :]):
            if await self._is_taken_alone(form):
                return True
        return False

    async def _is_taken_alone(self, form: Form) -> bool:
        """Send a letter in a batch of its own."""
        key, value, headers = form
        partitions = sorted(await self._producer.partitions_for(self.topic))
        builder = self._producer.create_batch()
        builder.append(timestamp=None, key=key, value=value, headers=list(headers))
        if builder.size() > MAX_REQUEST_BYTES:
            return False
        partition = _partition_of(key, partitions, partitions)
        try:
            await (await self._producer.send_batch(builder, self.topic, partition=partition))
        except REFUSED:
            return False
        return True
