"""Audiences on their compacted topic (``<prefix>.audiences``).

Key: ``project/audience id``. Value: the definition, its version and whether it is deleted; a deleted
one stays, because members still have to leave it and numbering must go on if it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
from aiokafka import AIOKafkaProducer

from agents.registry.registry import Registry, Version
from agents.registry.topic import publish
from agents.registry.unusable import Unusable, shown_key
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience
from rules.time.instants import MAX_MS
from rules.write.audience import to_document

Instant = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]


class AudienceRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the topic."""

    version: Version
    definition: msgspec.Raw
    """As its author's language has it; JSON."""
    deleted: bool = False
    created_ms: Instant = 0


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """What ``apply`` does to one audience."""

    audience: Audience
    version: int
    action: str
    """``created``, ``changed``, ``unchanged``, ``deleted``."""


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(AudienceRecord).decode

Parse = Callable[[str, str], Audience]
"""A definition from its text and the name of where it stands."""


class Audiences(Registry[bytes, PublishedAudience]):
    """The published audiences, by record key. The one before an unusable record stays in force: members must
    not leave because a record can't be read."""

    key_is: ClassVar[str] = "a definition needs the key project/id"

    def __init__(self, topic: str, parse: Parse) -> None:
        super().__init__(topic)
        self._parse = parse
        self.top_version = 0
        """The highest version that was read of a usable record."""

    def id_of(self, key: bytes) -> bytes:
        return key

    def decode(self, key: bytes, value: bytes) -> PublishedAudience:
        published = decode_audience(value, self._parse)
        wanted = record_key(published.audience)
        if key != wanted:
            raise Unusable(f"its key must be {shown_key(wanted)}, as its definition says")
        return published

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        super()._put_in_force(key, value)
        if key in self.published:
            self.top_version = max(self.top_version, self.published[key].version)


def record_key(audience: Audience) -> bytes:
    return f"{audience.project}/{audience.id}".encode()


def encode_audience(published: PublishedAudience) -> bytes:
    definition = msgspec.Raw(_encode(to_document(published.audience)))
    return _encode(AudienceRecord(published.version, definition, published.deleted, published.created_ms))


def audience_record(published: PublishedAudience) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    return record_key(published.audience), encode_audience(published)


def decode_audience(value: bytes, parse: Parse) -> PublishedAudience:
    """Raises DefinitionsInvalid, or a decode error, for a record that this program can't read.

    The positions in what it raises are those in the definition as it lies in the record.
    """
    record = _decode(value)
    audience = parse(str(record.definition, "utf-8"), "definitions topic")
    return PublishedAudience(audience, record.version, record.deleted, record.created_ms)


def plan_changes(
    current: Mapping[bytes, PublishedAudience],
    wanted: Sequence[Audience],
    versions: Mapping[bytes, int] | None = None,
    version_floor: int = 0,
) -> list[AudienceChange]:
    """What publishing ``wanted`` would do; audiences that are not named stay as they are.

    ``versions`` are those of records that can't be used (``Registry.versions``): they are overwritten.
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


async def publish_audiences(
    producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedAudience]
) -> None:
    """Write definitions; returns when all replicas have them."""
    await publish(producer, topic, map(audience_record, published))
