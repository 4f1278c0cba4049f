"""Audiences on their compacted topic (``<prefix>.audiences``).

Key: ``project/audience id/version`` (``agents.registry.audience_keys``). Value: the definition, its version,
whether it is deleted, and who published it when. Every version stays, so that it can be restored, and that a
partition can go on deciding by an older one. A deleted one stays, because members still have to leave it
and numbering must go on if it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import msgspec
from aiokafka import AIOKafkaProducer

from agents.registry.audience_keys import KEY_IS, AudienceKey, audience_of, parse_key
from agents.registry.audit import Action
from agents.registry.registry import Registry, Version, version_of
from agents.registry.topic import publish
from agents.registry.unusable import Unusable, shown_key, usable
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
    by: str = ""
    rebuild: bool = False
    goes_on_from: Annotated[int, msgspec.Meta(ge=0)] = 0


class ReleaseRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record that releases a version that is held."""

    at_ms: Instant = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """What ``apply`` does to one audience."""

    audience: Audience
    version: int
    action: Action | Literal["unchanged"]


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(AudienceRecord).decode
_decode_release = msgspec.json.Decoder(ReleaseRecord).decode

Parse = Callable[[str, str], Audience]
"""A definition from its text and the name of where it stands."""


class Audiences(Registry[bytes, PublishedAudience]):
    """The published audiences, by ``project/id``: of each the latest version that can be used is in force, so
    that members don't leave because a record can't be read.

    The first record of a version stands, so what a version means never changes: a later one with another
    definition can't be used (two writers where the broker can't fence the first, docs/decisions/0034).
    """

    key_is: ClassVar[str] = KEY_IS

    def __init__(self, topic: str, parse: Parse) -> None:
        super().__init__(topic)
        self._parse = parse
        self.top_version = 0
        """The highest version that was read of a usable record."""
        self.versions: dict[bytes, dict[int, PublishedAudience]] = {}
        """Every version of a definition, by ``project/id`` and version, deletions included."""
        self.released: set[tuple[bytes, int]] = set()
        """(``project/id``, version) of versions whose changes may come out, however many they are."""
        self._old: dict[bytes, set[int]] = {}
        """The versions that came under the key of a program before versions."""
        self._unusable: dict[bytes, dict[bytes, int]] = {}
        """Of ``project/id``: the versions of records that can't be used, by key."""

    def id_of(self, key: bytes) -> bytes:
        return parse_key(key).audience

    def found_as(self, key: bytes) -> bytes:
        return audience_of(key)

    def decode(self, key: bytes, value: bytes) -> PublishedAudience:
        published = decode_audience(value, self._parse)
        known_as = parse_key(key)
        version = None if known_as.version is None else published.version
        wanted = AudienceKey(record_key(published.audience), version)
        if known_as != wanted:
            raise Unusable(f"its key must be {shown_key(bytes(wanted))}, as its definition says")
        return published

    def standing(self, key: bytes) -> tuple[bytes, bytes] | None:
        known_as = parse_key(key)
        found = None if known_as.version is None else self.versions.get(known_as.audience, {})
        if not found or known_as.is_release or known_as.version not in found:
            return None
        return audience_record(found[known_as.version])

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        known_as = parse_key(key)
        if known_as.is_release:
            self._put_release(known_as, value)
            return
        if value is None:
            self._take_away(known_as)
        else:
            self._put_version(known_as, usable(partial(self.decode, key, value)))
        self._choose(known_as.audience)
        self._forget_unusable(key, known_as.audience)

    def _put_release(self, known_as: AudienceKey, value: bytes | None) -> None:
        assert known_as.version is not None
        held = known_as.audience, known_as.version
        if value is None:
            self.released.discard(held)
        else:
            usable(partial(_decode_release, value))
            self.released.add(held)

    def _put_version(self, known_as: AudienceKey, published: PublishedAudience) -> None:
        """Raises Unusable where the version has another definition already."""
        audience, version = known_as.audience, published.version
        of_audience, old = self.versions.setdefault(audience, {}), self._old.setdefault(audience, set())
        if known_as.version is None:
            for replaced in [each for each in old if each >= version]:  # what compaction leaves is the same
                of_audience.pop(replaced)
                old.discard(replaced)
        before = of_audience.get(version)
        if before is None:
            of_audience[version] = published
            if known_as.version is None:
                old.add(version)
        elif not _is_same(before, published):
            raise Unusable(f"version {version} was published before it, with another definition")
        elif known_as.version is not None:
            old.discard(version)
        self.top_version = max(self.top_version, version)

    def _take_away(self, known_as: AudienceKey) -> None:
        of_audience, old = self.versions.get(known_as.audience, {}), self._old.get(known_as.audience, set())
        for version in list(old) if known_as.version is None else [known_as.version]:
            of_audience.pop(version, None)
            old.discard(version)

    def _choose(self, audience: bytes) -> None:
        """Have the latest version in force."""
        if of_audience := self.versions.get(audience):
            self.published[audience] = of_audience[max(of_audience)]
        else:
            self.published.pop(audience, None)
            self.versions.pop(audience, None)

    def _forget_unusable(self, key: bytes, audience: bytes) -> None:
        """Records that can't be used don't matter any more where another one has their key, or where a later
        version was published."""
        unusable = self._unusable.get(audience, {})
        unusable.pop(key, None)
        latest = self.published[audience].version if audience in self.published else -1
        for other in [other for other, version in unusable.items() if version < latest]:
            del unusable[other]
            self.unusable.pop(other, None)
        self._tell_unusable(audience)

    def _pass_by(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            known_as = parse_key(key or b"")
        except Unusable:
            return
        assert key is not None
        if not known_as.is_release:
            version = version_of(value, offset) if known_as.version is None else known_as.version
            unusable = self._unusable.setdefault(known_as.audience, {})
            unusable[key] = max(unusable.get(key, 0), version)
            self._tell_unusable(known_as.audience)

    def _tell_unusable(self, audience: bytes) -> None:
        if unusable := self._unusable.get(audience):
            self.unusable_versions[audience] = max(unusable.values())
        else:
            self._unusable.pop(audience, None)
            self.unusable_versions.pop(audience, None)


def _is_same(before: PublishedAudience, after: PublishedAudience) -> bool:
    return replace(before, version=0, created_ms=0, by="") == replace(after, version=0, created_ms=0, by="")


def record_key(audience: Audience) -> bytes:
    """``project/id``, by which ``Audiences`` has it."""
    return f"{audience.project}/{audience.id}".encode()


def encode_audience(published: PublishedAudience) -> bytes:
    definition = msgspec.Raw(_encode(to_document(published.audience)))
    record = AudienceRecord(
        published.version,
        definition,
        published.deleted,
        published.created_ms,
        published.by,
        published.rebuild,
        published.goes_on_from,
    )
    return _encode(record)


def audience_record(published: PublishedAudience) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    key = AudienceKey(record_key(published.audience), published.version)
    return bytes(key), encode_audience(published)


def release_record(audience: bytes, version: int, release: ReleaseRecord) -> tuple[bytes, bytes]:
    """Key and value of the record that releases a version. ``audience``: ``project/id``."""
    return bytes(AudienceKey(audience, version, is_release=True)), _encode(release)


def decode_audience(value: bytes, parse: Parse) -> PublishedAudience:
    """Raises DefinitionsInvalid, or a decode error, for a record that this program can't read.

    The positions in what it raises are those in the definition as it lies in the record.
    """
    record = _decode(value)
    audience = parse(str(record.definition, "utf-8"), "definitions topic")
    return PublishedAudience(
        audience,
        record.version,
        record.deleted,
        record.created_ms,
        record.by,
        record.rebuild,
        record.goes_on_from,
    )


def plan_changes(
    current: Mapping[bytes, PublishedAudience],
    wanted: Sequence[Audience],
    unusable_versions: Mapping[bytes, int] | None = None,
    version_floor: int = 0,
) -> list[AudienceChange]:
    """What publishing ``wanted`` would do; audiences that are not named stay as they are.

    ``unusable_versions`` are those of records that can't be used (``Registry.unusable_versions``): what is
    published goes above them.
    Versions of new ones begin above ``version_floor``: rows may know lower ones of a topic that was lost.
    """
    changes: list[AudienceChange] = []
    for audience in wanted:
        key = record_key(audience)
        before, unusable_version = current.get(key), (unusable_versions or {}).get(key)
        if unusable_version is not None:
            version = max(unusable_version, before.version if before else 0) + 1
            changes.append(AudienceChange(audience, version, "changed"))
        elif before is None:
            changes.append(AudienceChange(audience, version_floor + 1, "created"))
        elif before.deleted:
            changes.append(AudienceChange(audience, before.version + 1, "created"))
        elif repr(before.audience) == repr(audience):  # 1, 1.0 and True are equal to Python, not to a rule
            changes.append(AudienceChange(audience, before.version, "unchanged"))
        else:
            changes.append(AudienceChange(audience, before.version + 1, "changed"))
    return changes


async def publish_audiences(
    producer: AIOKafkaProducer, topic: str, published: Sequence[PublishedAudience]
) -> None:
    """Write definitions; returns when all replicas have them."""
    await publish(producer, topic, map(audience_record, published))
