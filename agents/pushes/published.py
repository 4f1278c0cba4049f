"""Pushes on their compacted topic (``<prefix>.pushes``, key ``project/name``).

The schedule of a new ``generation`` begins again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from aiokafka import AIOKafkaConsumer

from agents.pushes.contract.parse import load_published
from agents.pushes.contract.push import Push
from agents.registry.audit import Kind
from agents.registry.definitions import Definitions, Published
from agents.registry.feed import Feed
from agents.warnings import Warnings

UNREADABLE: Final = "push_unreadable"
"""The code of the warning about a definition that can't be read."""


PublishedPush = Published[Push]


class Pushes(Definitions[Push]):
    """The published pushes, by ``project/name``. What was there before an unusable record stays in force."""

    kind: ClassVar[Kind] = "push"
    key_is: ClassVar[str] = "a push needs the key project/name"

    def parse(self, text: str) -> Push:
        return load_published(text, "pushes topic.json")

    def _scheduled_ms(self, before: PublishedPush | None, wanted: Push, now_ms: int) -> int:
        """A change of all else takes no time from it that is due already."""
        if before is None:
            return now_ms
        is_alike = (before.definition.schedule, before.definition.enabled) == (
            wanted.schedule,
            wanted.enabled,
        )
        return before.scheduled_ms if is_alike else now_ms


def pushes_feed(
    new_consumer: Callable[[], AIOKafkaConsumer],
    topic: str,
    warnings: Warnings,
    changed: Callable[[], None] = lambda: None,
) -> Feed[Pushes]:
    """Follows the topic."""
    return Feed(new_consumer, Pushes(topic), UNREADABLE, warnings, changed)
