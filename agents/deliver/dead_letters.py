"""Dead letters of a destination: the transition's record untouched, and in headers why it lies there."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer

from agents.deliver.jobs import Job, Original
from rules.instants import format_instant

REASON_CHARACTERS = 1_000
OURS = ("error.", "source.", "delivery.")
"""What the names of our headers start with; a replayed letter that dies again gets them anew."""


def dead_letter_topic(prefix: str, destination: str) -> str:
    return f"{prefix}.deliver.{destination}.dlq"


def dead_letter_headers(
    original: Original, topic: str, destination: str, code: str, reason: str, attempts: int
) -> list[tuple[str, bytes]]:
    """The record's own headers, then why and whence."""
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

    def __init__(self, producer: AIOKafkaProducer, prefix: str, destination: str, source: str) -> None:
        self.topic = dead_letter_topic(prefix, destination)
        self._producer = producer
        self._destination = destination
        self._source = source

    async def bury(self, job: Job, code: str, reason: str) -> None:
        """Write each transition of a job; returns when the brokers have them."""
        await self.bury_records(job.originals, code, reason, job.attempts)

    async def bury_records(
        self, originals: tuple[Original, ...], code: str, reason: str, attempts: int
    ) -> None:
        sent = [
            await self._producer.send(
                self.topic,
                original.value,
                original.key,
                headers=dead_letter_headers(
                    original, self._source, self._destination, code, reason, attempts
                ),
            )
            for original in originals
        ]
        await asyncio.gather(*sent)
