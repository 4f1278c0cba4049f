"""What is published on one compacted topic, as its records come: the same for audiences, destinations and
API keys.

A registry takes the records of a topic in their order and keeps what is in force, by id. It does no I/O:
``agents.registry.topic`` reads and writes topics, ``agents.registry.feed`` follows one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from functools import partial
from typing import Annotated, ClassVar, Final, Generic, Protocol, TypeVar

import msgspec

from agents.registry.unusable import Unusable, UnusableRecord, usable

MAX_VERSION: Final = 2**53
Version = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]


class Superseded(Unusable):
    """A record came second: what was published before it stands."""


class RegistryRecord(Protocol):
    """What is read here of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...


class _VersionAlone(msgspec.Struct):
    """What can still be read of a record that is unusable otherwise."""

    version: Version


_decode_version = msgspec.json.Decoder(_VersionAlone).decode

Id = TypeVar("Id", bound=Hashable)
Published = TypeVar("Published")


class Registry(ABC, Generic[Id, Published]):
    """The definitions of one topic. A subclass says how one lies there: ``id_of`` and ``decode``.

    A record that can't be used stops nothing: ``unusable`` tells it. Whether what was published before it
    stays in force is for the subclass to say (``keeps_before``).
    """

    key_is: ClassVar[str]
    """What a record's key is, for people: "a definition needs the key project/id"."""
    keeps_before: ClassVar[bool] = True

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.published: dict[Id, Published] = {}
        """What is in force, those that are marked as deleted included."""
        self.unusable: dict[bytes | None, UnusableRecord] = {}
        """The latest records that can't be used, by the record's key."""
        self.unusable_versions: dict[Id, int] = {}
        """Of ids whose latest record can't be used: no version that was ever published is higher."""
        self.found: set[bytes] = set()
        """Every definition that was read (``found_as``), of what was taken away since, too."""
        self.has_records = False
        """There was a record, usable or not."""
        self.position = 0
        """The offset from which the topic is to be read on, for whoever reads it a part at a time."""

    @abstractmethod
    def id_of(self, key: bytes) -> Id:
        """What ``published`` is kept by. Raises Unusable or another error for a key that nothing can have."""

    @abstractmethod
    def decode(self, key: bytes, value: bytes) -> Published:
        """Of a record. Raises Unusable or another error when it can't be read, or isn't of this key."""

    def standing(self, key: bytes) -> tuple[bytes, bytes] | None:
        """The record that stands under a key in place of one that came second; None: there is none."""
        return None

    def found_as(self, key: bytes) -> bytes:
        """What a key counts as in ``found``."""
        return key

    def take(self, record: RegistryRecord) -> bool:
        """Take one record, in the order of the topic. False: it can't be used, and ``unusable`` has it."""
        self.has_records = True
        key, value = record.key, record.value
        if key is not None:
            self.found.add(self.found_as(key))
        try:
            if key is None:
                raise Unusable(f"{self.key_is}, and this record has no key")
            self._put_in_force(key, value)
        except Unusable as reason:
            self.unusable[key] = UnusableRecord(self.topic, record.offset, key, str(reason))
            if not isinstance(reason, Superseded):
                self._pass_by(key, value, record.offset)
            return False
        self.unusable.pop(key, None)
        return True

    def _put_in_force(self, key: bytes, value: bytes | None) -> None:
        """Raises Unusable."""
        known_as = usable(partial(self.id_of, key))
        if value is None:
            self.published.pop(known_as, None)
        else:
            published = usable(partial(self.decode, key, value))
            if known_as in self.published:
                self._check_beside(self.published[known_as], published)
            self.published[known_as] = published
        self.unusable_versions.pop(known_as, None)

    def _check_beside(self, before: Published, published: Published) -> None:
        """Raises Superseded where what was before stands. Otherwise the later record always counts."""

    def _pass_by(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            known_as = None if key is None else usable(partial(self.id_of, key))
        except Unusable:
            return
        if known_as is None:
            return
        before = self.unusable_versions.get(known_as, 0)
        self.unusable_versions[known_as] = max(before, version_of(value, offset))
        if not self.keeps_before:
            self.published.pop(known_as, None)


def version_of(value: bytes | None, offset: int) -> int:
    """The version of an unusable record; where that can't be read, one that none before it had.

    Each version was a record of the topic of its own, so that no version is above the offset by more than 1.
    """
    try:
        return usable(lambda: _decode_version(value or b"").version)
    except Unusable:
        return offset + 1
