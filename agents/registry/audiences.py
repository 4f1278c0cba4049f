"""Definitions on their compacted topic: publishing them, and following what is published.

Key: ``project/audience id``. Value: the definition, its version and whether it is deleted; a deleted
one stays, because members still have to leave it and numbering must go on if it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from agents.registry.audiences_together import compile_usable
from agents.registry.follow import follow
from agents.registry.unusable import Unusable, UnusableRecord, everything_on, shown_key, usable
from agents.warnings import Warnings
from rules.compile.rule_set import PublishedAudience, RuleSet
from rules.model.language import Audience
from rules.time.instants import MAX_MS
from rules.write.audience import to_document

MAX_VERSION = 2**53
Version = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]


class AudienceRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the definitions topic."""

    version: Version
    definition: dict[str, object]
    deleted: bool = False
    created_ms: Instant = 0


class _VersionAlone(msgspec.Struct):
    """What can still be read of a record that is unusable otherwise."""

    version: Version


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """What ``apply`` does to one audience."""

    audience: Audience
    version: int
    action: str
    """``created``, ``changed``, ``unchanged``, ``deleted``."""


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(AudienceRecord).decode
_decode_version = msgspec.json.Decoder(_VersionAlone).decode

Parse = Callable[[str, str], Audience]
"""A definition from its text and the name of where it stands."""


@dataclass(slots=True)
class Definitions:
    """What was read of the topic."""

    published: dict[bytes, PublishedAudience] = field(default_factory=dict)
    unusable: dict[bytes | None, UnusableRecord] = field(default_factory=dict)
    """By key. The version before it, if there is one, is still among ``published``."""
    versions: dict[bytes, int] = field(default_factory=dict)
    """Of keys with an unusable record: no version that was ever published is higher."""

    def take(self, topic: str, record: ConsumerRecord[bytes | None, bytes | None], parse: Parse) -> bool:
        """Take one record, in the order of the topic. False: it can't be used, and ``unusable`` has it."""
        key, value = record.key, record.value
        try:
            if key is None:
                raise Unusable("a definition needs the key project/id, and this record has no key")
            if value is None:
                self.published.pop(key, None)
            else:
                self.published[key] = usable(partial(_read, key, value, parse))
        except Unusable as reason:
            self.unusable[key] = UnusableRecord(topic, record.offset, key, str(reason))
            if key is not None:
                self.versions[key] = max(self.versions.get(key, 0), _version_of(value, record.offset))
            return False
        self.unusable.pop(key, None)
        self.versions.pop(key, None)
        return True


def record_key(audience: Audience) -> bytes:
    return f"{audience.project}/{audience.id}".encode()


def encode_audience(published: PublishedAudience) -> bytes:
    document = to_document(published.audience)
    return _encode(AudienceRecord(published.version, document, published.deleted, published.created_ms))


def decode_audience(value: bytes, parse: Parse) -> PublishedAudience:
    """Raises DefinitionsInvalid, or a decode error, for a record that this program can't read."""
    record = _decode(value)
    audience = parse(msgspec.json.encode(record.definition).decode(), "definitions topic")
    return PublishedAudience(audience, record.version, record.deleted, record.created_ms)


def _read(key: bytes, value: bytes, parse: Parse) -> PublishedAudience:
    published = decode_audience(value, parse)
    wanted = record_key(published.audience)
    if key != wanted:
        raise Unusable(f"its key must be {shown_key(wanted)}, as its definition says")
    return published


def _version_of(value: bytes | None, offset: int) -> int:
    """The version of an unusable record; where that can't be read, one that none before it had.

    Each version was a record of the topic of its own, so that no version is above the offset by more than 1.
    """
    try:
        return usable(lambda: _decode_version(value or b"").version)
    except Unusable:
        return offset + 1


def plan_changes(
    current: Mapping[bytes, PublishedAudience],
    wanted: Sequence[Audience],
    versions: Mapping[bytes, int] | None = None,
    version_floor: int = 0,
) -> list[AudienceChange]:
    """What publishing ``wanted`` would do; audiences that are not named stay as they are.

    ``versions`` are those of records that can't be used (``Definitions.versions``): they are overwritten.
    Versions of new ones begin above ``version_floor``: rows may know lower ones of a topic that was lost.
    """
    changes: list[AudienceChange] = []
    for audience in wanted:
        key = record_key(audience)
        before, unusable_version = current.get(key), (versions or {}).get(key)
        if unusable_version is not None:
            version = max(unusable_version, before.version if before else 0) + 1
            changes.append(AudienceChange(audience, version, "changed"))
        elif before is None:
            changes.append(AudienceChange(audience, version_floor + 1, "created"))
        elif before.deleted:
            changes.append(AudienceChange(audience, before.version + 1, "created"))
        elif before.audience == audience:
            changes.append(AudienceChange(audience, before.version, "unchanged"))
        else:
            changes.append(AudienceChange(audience, before.version + 1, "changed"))
    return changes


class AudiencesFeed:
    """Reads the definitions topic from its start and goes on; ``changed`` gets every new rule set."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        parse: Parse,
        changed: Callable[[RuleSet], None],
        max_samples: int,
        warnings: Warnings | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._parse = parse
        self._changed = changed
        self._max_samples = max_samples
        self._warnings = warnings or Warnings()
        self._read = Definitions()
        self._together: dict[bytes, tuple[str, str]] = {}
        """Warnings about definitions beside one another: (code, text) by key."""
        self.found: set[bytes] = set()
        """Every key that was read, of definitions taken away since, too."""
        self.top_version = 0
        """The highest version that was read."""
        self.loaded = asyncio.Event()
        """Set once everything that was published at the start is in use."""

    @property
    def published(self) -> Mapping[bytes, PublishedAudience]:
        return self._read.published

    @property
    def unreadable(self) -> Mapping[bytes, str]:
        """Why the latest records of some keys can't be used."""
        return {key: each.reason for key, each in self._read.unusable.items() if key is not None}

    @property
    def standing(self) -> int:
        """How many definitions there are, deleted ones included."""
        return len(self.published)

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow(self._new_consumer, self._topic, self._take_all, self._all_read)

    def _all_read(self) -> None:
        self._use()
        self.loaded.set()

    def _take_all(self, records: Sequence[ConsumerRecord[bytes | None, bytes | None]]) -> None:
        for record in records:
            self._take(record)
        if self.loaded.is_set():
            self._use()

    def _take(self, record: ConsumerRecord[bytes | None, bytes | None]) -> None:
        if record.key is not None:
            self.found.add(record.key)
        if self._read.take(self._topic, record, self._parse):
            self._warnings.clear("definition_unreadable", self._place(record.key))
            if record.key in self.published:
                self.top_version = max(self.top_version, self.published[record.key].version)
            return
        # The one before stays in force: members must not leave because a record can't be read.
        told = self._read.unusable[record.key]
        text = f"offset {told.offset} can't be used, and what was published before it stays: {told.reason}"
        self._warnings.note("definition_unreadable", self._place(record.key), text)

    def _use(self) -> None:
        rules, faults = compile_usable(self.published, self._max_samples)
        for key in [key for key, told in self._together.items() if faults.get(key) != told]:
            self._warnings.clear(self._together.pop(key)[0], self._place(key))
        for key in faults.keys() - self._together.keys():
            code, text = self._together[key] = faults[key]
            self._warnings.note(code, self._place(key), text)
        self._changed(rules)

    def _place(self, key: bytes | None) -> str:
        return f"{self._topic}/0 key {shown_key(key)}"


async def read_published(consumer: AIOKafkaConsumer, topic: str, parse: Parse) -> Definitions:
    """Everything on the topic now."""
    found = Definitions()
    async for record in everything_on(consumer, topic):
        found.take(topic, record, parse)
    return found


async def definition_keys(consumer: AIOKafkaConsumer, topic: str) -> set[bytes]:
    """Every key on the topic now, whatever its records hold."""
    return {record.key async for record in everything_on(consumer, topic) if record.key is not None}


async def publish(producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedAudience]) -> None:
    """Write definitions; returns when all replicas have them."""
    for each in published:
        await producer.send(topic, encode_audience(each), record_key(each.audience), partition=0)
    await producer.flush()
