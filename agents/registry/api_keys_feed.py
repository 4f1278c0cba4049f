"""The topic of API keys: following it, reading it once, writing to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.registry.api_keys import KeyRecord, KeyUnusable, decode_key, encode_key
from agents.registry.follow import follow
from agents.warnings import Warnings

UNUSABLE = "unusable_key"
"""The warning's code; its place is ``topic/name`` or ``topic/partition@offset``."""


class KeysFeed:
    """Reads the topic from its start and goes on. What it can't use lets nobody in, and is a warning."""

    def __init__(self, new_consumer: Callable[[], AIOKafkaConsumer], topic: str, warnings: Warnings) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._warnings = warnings
        self.published: dict[str, KeyRecord] = {}
        self.has_records = False
        """There was a record, usable or not: keys are asked for from now on."""
        self.loaded = asyncio.Event()
        """Set once everything that was on the topic at the start is in use."""

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow(self._new_consumer, self._topic, self._take_all, self.loaded.set)

    def _take_all(self, records: Sequence[ConsumerRecord[bytes | None, bytes | None]]) -> None:
        for record in records:
            self.take(record.key, record.value, record.offset)

    def take(self, name: bytes | None, value: bytes | None, offset: int) -> None:
        """Put one record to use."""
        self.has_records = True
        shown = name.decode("utf-8", "replace") if name else ""
        place = f"{self._topic}/{shown or f'0@{offset}'}"
        if value is None:
            self.published.pop(shown, None)
            self._warnings.clear(UNUSABLE, place)
            return
        try:
            known, record = decode_key(name, value)
        except KeyUnusable as error:
            self.published.pop(shown, None)
            text = f"{error}. It lets nobody in; `turnstile keys create` or `revoke` writes it again"
            self._warnings.note(UNUSABLE, place, text)
            return
        self.published[known] = record
        self._warnings.clear(UNUSABLE, place)


async def read_keys(consumer: AIOKafkaConsumer, topic: str) -> Mapping[str, KeyRecord | KeyUnusable]:
    """Everything on the topic now, by name."""
    found: dict[str, KeyRecord | KeyUnusable] = {}
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(timeout_ms=500)).get(partition, []):
            name = record.key.decode("utf-8", "replace") if record.key else ""
            if record.value is None:
                found.pop(name, None)
                continue
            try:
                found[name] = decode_key(record.key, record.value)[1]
            except KeyUnusable as error:
                found[name] = error
    return found


async def publish_key(producer: AIOKafkaProducer, topic: str, name: str, key: KeyRecord) -> None:
    """Write one; returns when all replicas have it."""
    await producer.send_and_wait(topic, encode_key(key), name.encode(), partition=0)
