"""Definitions on their compacted topic: publishing them, and following what is published.

Key: ``project/audience id``. Value: the definition, its version and whether it is deleted; a deleted
one stays, because members still have to leave it and numbering must go on if it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from rules.compile import PublishedAudience, RuleSet, compile_rules
from rules.model import Audience
from rules.problems import DefinitionsInvalid
from rules.write import to_document

log = structlog.get_logger("turnstile.definitions")


class DefinitionRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the definitions topic."""

    version: int
    definition: dict[str, object]
    deleted: bool = False
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What ``apply`` does to one audience."""

    audience: Audience
    version: int
    action: str
    """``created``, ``changed``, ``unchanged``, ``deleted``."""


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(DefinitionRecord).decode


def topic_key(audience: Audience) -> bytes:
    return f"{audience.project}/{audience.id}".encode()


def encode_definition(published: PublishedAudience) -> bytes:
    document = to_document(published.audience)
    return _encode(DefinitionRecord(published.version, document, published.deleted, published.created_ms))


def decode_definition(value: bytes, parse: Callable[[str, str], Audience]) -> PublishedAudience:
    """Raises DefinitionsInvalid, or a decode error, for a record that this program can't read."""
    record = _decode(value)
    audience = parse(msgspec.json.encode(record.definition).decode(), "definitions topic")
    return PublishedAudience(audience, record.version, record.deleted, record.created_ms)


def plan_changes(current: Mapping[bytes, PublishedAudience], wanted: Sequence[Audience]) -> list[Change]:
    """What publishing ``wanted`` would do; audiences that are not named stay as they are."""
    changes: list[Change] = []
    for audience in wanted:
        before = current.get(topic_key(audience))
        if before is None:
            changes.append(Change(audience, 1, "created"))
        elif before.deleted:
            changes.append(Change(audience, before.version + 1, "created"))
        elif before.audience == audience:
            changes.append(Change(audience, before.version, "unchanged"))
        else:
            changes.append(Change(audience, before.version + 1, "changed"))
    return changes


class DefinitionsFeed:
    """Reads the definitions topic from its start and goes on; ``changed`` gets every new rule set."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        parse: Callable[[str, str], Audience],
        changed: Callable[[RuleSet], None],
        max_samples: int,
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._parse = parse
        self._changed = changed
        self._max_samples = max_samples
        self.published: dict[bytes, PublishedAudience] = {}
        self.unreadable: dict[bytes, str] = {}
        self.loaded = asyncio.Event()
        """Set once everything that was published at the start is in use."""

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        async with self._new_consumer() as consumer:
            partition = TopicPartition(self._topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            while True:
                if not self.loaded.is_set() and await consumer.position(partition) >= end:
                    self._use()
                    self.loaded.set()
                polled = await consumer.getmany(timeout_ms=200)
                records = polled.get(partition, [])
                for record in records:
                    self._take(record.key, record.value)
                if records and self.loaded.is_set():
                    self._use()

    def _take(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.published.pop(key, None)
            return
        try:
            self.published[key] = decode_definition(value, self._parse)
            self.unreadable.pop(key, None)
        except (DefinitionsInvalid, msgspec.DecodeError) as error:
            # One that we can't read leaves the one before in force: members must not leave by it.
            self.unreadable[key] = str(error)
            log.error("definition_unreadable", key=key.decode("utf-8", "replace"), error=str(error))

    def _use(self) -> None:
        self._changed(compile_rules(self.published.values(), self._max_samples))


async def read_published(
    consumer: AIOKafkaConsumer, topic: str, parse: Callable[[str, str], Audience]
) -> dict[bytes, PublishedAudience]:
    """Everything on the topic now. Raises DefinitionsInvalid for a record that can't be read."""
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: dict[bytes, PublishedAudience] = {}
    while await consumer.position(partition) < end:
        polled = await consumer.getmany(timeout_ms=500)
        for record in polled.get(partition, []):
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = decode_definition(record.value, parse)
    return found


async def publish(producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedAudience]) -> None:
    """Write definitions; returns when all replicas have them."""
    for each in published:
        await producer.send(topic, encode_definition(each), topic_key(each.audience), partition=0)
    await producer.flush()
