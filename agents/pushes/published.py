"""Pushes on their compacted topic (``<prefix>.pushes``, key ``project/name``).

Value: ``{"version": n, "definition": {…}, …}``, the definition as it was written. A deleted one stays, with
``deleted``: one that comes back under its name is a new ``generation``, and its schedule begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.pushes.contract.parse import load_published
from agents.pushes.contract.push import Push
from agents.registry.audit import Action
from agents.registry.feed import Feed
from agents.registry.registry import MAX_VERSION, Registry, Version
from agents.registry.unusable import Unusable
from agents.warnings import Warnings

UNREADABLE: Final = "push_unreadable"
"""The code of the warning about a definition that can't be read."""


@dataclass(frozen=True, slots=True)
class PublishedPush:
    """A push, and when it was published: for the first time in its generation, and with the schedule that it
    has now (ms). A change of all else takes no time from it that is due already."""

    push: Push
    version: int
    first_published_ms: int
    scheduled_ms: int
    generation: int = 1
    deleted: bool = False


class PushRecord(msgspec.Struct, omit_defaults=True):
    """The value of a record on the topic."""

    version: Version
    definition: msgspec.Raw
    """As its author wrote it; JSON."""
    first_published_ms: int
    scheduled_ms: int
    generation: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] = 1
    deleted: bool = False


_decode = msgspec.json.Decoder(PushRecord).decode


def definition_of(push: Push) -> msgspec.Raw:
    """JSON of the definition as its author wrote it."""
    return msgspec.Raw(msgspec.json.encode(push.document))


def push_record(published: PublishedPush) -> tuple[bytes, bytes]:
    """Key and value of the record that publishes it."""
    record = PushRecord(
        published.version,
        definition_of(published.push),
        published.first_published_ms,
        published.scheduled_ms,
        published.generation,
        published.deleted,
    )
    return published.push.key.encode(), msgspec.json.encode(record)


class Pushes(Registry[str, PublishedPush]):
    """The published pushes, by ``project/name``. What was there before an unusable record stays in force."""

    key_is: ClassVar[str] = "a push needs the key project/name"

    def id_of(self, key: bytes) -> str:
        name = key.decode()
        if name.count("/") != 1:
            raise Unusable(self.key_is)
        return name

    def decode(self, key: bytes, value: bytes) -> PublishedPush:
        record = _decode(value)
        push = load_published(str(record.definition, "utf-8"), "pushes topic.json")
        if push.key.encode() != key:
            raise Unusable(f"its key must be {push.key!r}, as its definition says")
        return PublishedPush(
            push,
            record.version,
            record.first_published_ms,
            record.scheduled_ms,
            record.generation,
            record.deleted,
        )


def pushes_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings,
    changed: Callable[[], None] = lambda: None,
) -> Feed[Pushes]:
    """Follows the topic."""
    return Feed(new_consumer, Pushes(topic), UNREADABLE, warnings, changed)


@dataclass(frozen=True, slots=True)
class PushChange:
    """What ``apply`` does to one push."""

    published: PublishedPush
    action: Action | Literal["unchanged"]


def plan_changes(
    current: Mapping[str, PublishedPush],
    wanted: Sequence[Push],
    now_ms: int,
    unusable_versions: Mapping[str, int] | None = None,
) -> list[PushChange]:
    """What publishing ``wanted`` would do; others stay as they are. Records that can't be used
    (``Registry.unusable_versions``) are overwritten."""
    changes = []
    for push in wanted:
        before, unusable = current.get(push.key), (unusable_versions or {}).get(push.key, 0)
        if before is None:
            changes.append(PushChange(PublishedPush(push, unusable + 1, now_ms, now_ms), "created"))
        elif before.deleted:
            after = PublishedPush(
                push, max(before.version, unusable) + 1, now_ms, now_ms, before.generation + 1
            )
            changes.append(PushChange(after, "created"))
        elif before.push == push and not unusable:
            changes.append(PushChange(before, "unchanged"))
        else:
            after = PublishedPush(
                push,
                max(before.version, unusable) + 1,
                before.first_published_ms,
                before.scheduled_ms if _is_scheduled_alike(before.push, push) else now_ms,
                before.generation,
            )
            changes.append(PushChange(after, "changed"))
    return changes


def _is_scheduled_alike(before: Push, after: Push) -> bool:
    return before.schedule == after.schedule and before.enabled == after.enabled
