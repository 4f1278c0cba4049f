"""Definitions that are known by their names, on a compacted topic: destinations, connections, pushes.

Key: what a definition is known by (``Definition.key``). Value: ``{"version": n, "definition": {…}, …}``, the
definition as it was written. A deleted one stays, with ``deleted``, so that the numbers of its versions go
on: one that comes back under its name is a new ``generation``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from agents.registry.audit import Action, Kind
from agents.registry.registry import MAX_VERSION, Registry, Superseded, Version
from agents.registry.unusable import Unusable


class Definition(Protocol):
    """What is published under a name. Two are equal if they mean the same."""

    @property
    def project(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str:
        """What it is known by."""

    @property
    def document(self) -> Any:
        """As its author wrote it: what is published; JSON."""


Defined = TypeVar("Defined", bound=Definition)


@dataclass(frozen=True)  # with slots the alias of one kind, such as PublishedPush, can't be called
class Published(Generic[Defined]):
    """A definition, and the version under which it was published."""

    definition: Defined
    version: int
    generation: int = 1
    deleted: bool = False
    scheduled_ms: int = 0
    """Since when it has the schedule that it has now; 0: it has none."""

    def gone(self) -> Published[Defined]:
        """What is published in its place when it is deleted."""
        return replace(self, version=self.version + 1, deleted=True)


class DefinitionRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the topic."""

    version: Version
    definition: msgspec.Raw
    """As its author wrote it; JSON."""
    generation: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] = 1
    deleted: bool = False
    scheduled_ms: int = 0


_decode = msgspec.json.Decoder(DefinitionRecord).decode


def definition_record(published: Published[Any]) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    record = DefinitionRecord(
        published.version,
        msgspec.Raw(msgspec.json.encode(published.definition.document)),
        published.generation,
        published.deleted,
        published.scheduled_ms,
    )
    return published.definition.key.encode(), msgspec.json.encode(record)


@dataclass(frozen=True, slots=True)
class DefinitionChange(Generic[Defined]):
    """What publishing does to one definition."""

    published: Published[Defined]
    action: Action | Literal["unchanged"]


class Definitions(Registry[str, Published[Defined]]):
    """The published definitions of one kind, by their keys.

    The first record of a version stands, and a lower version doesn't come back: a later record that says
    otherwise was written by somebody who hadn't read the first (docs/decisions/0034).
    """

    kind: ClassVar[Kind]

    @abstractmethod
    def parse(self, text: str) -> Defined:
        """A definition as it was published. Raises DefinitionsInvalid; positions are those in the text."""

    def id_of(self, key: bytes) -> str:
        return key.decode()

    def decode(self, key: bytes, value: bytes) -> Published[Defined]:
        record = _decode(value)
        definition = self.parse(str(record.definition, "utf-8"))
        if definition.key.encode() != key:
            raise Unusable(f"its key must be {definition.key!r}, as its definition says")
        return Published(definition, record.version, record.generation, record.deleted, record.scheduled_ms)

    def _check_beside(self, before: Published[Defined], published: Published[Defined]) -> None:
        if published.version <= before.version and published != before:
            raise Superseded(f"version {before.version} was published before it, and stands")

    def standing(self, key: bytes) -> tuple[bytes, bytes] | None:
        found = self.published.get(key.decode())
        return None if found is None else definition_record(found)

    def find(self, key: str) -> Published[Defined] | None:
        """One that isn't deleted."""
        found = self.published.get(key)
        return None if found is None or found.deleted else found

    def live(self) -> list[Published[Defined]]:
        """Those that aren't deleted, by key."""
        return [each for _, each in sorted(self.published.items()) if not each.deleted]

    def plan(
        self, wanted: Sequence[Defined], now_ms: int, generations: Mapping[str, int] | None = None
    ) -> list[DefinitionChange[Defined]]:
        """What publishing ``wanted`` would do; others stay as they are. A record that can't be used is
        overwritten.

        ``generations``: those that a definition has left traces of, by key; one that was lost goes on with
        its own.
        """
        changes = []
        for each in wanted:
            before, lost = self.published.get(each.key), self.unusable_versions.get(each.key)
            stays = None if before is None or before.deleted else before
            if stays is not None and lost is None and stays.definition == each:
                changes.append(DefinitionChange(stays, "unchanged"))
                continue
            version, generation = lost or 0, (generations or {}).get(each.key, 1)
            if before is not None:
                version, generation = max(before.version, version), before.generation + before.deleted
            published = Published(
                each, version + 1, generation, scheduled_ms=self._scheduled_ms(stays, each, now_ms)
            )
            is_new = lost is None and stays is None
            changes.append(DefinitionChange(published, "created" if is_new else "changed"))
        return changes

    def _scheduled_ms(self, before: Published[Defined] | None, wanted: Defined, now_ms: int) -> int:
        return 0
