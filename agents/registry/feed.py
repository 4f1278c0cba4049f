"""Following a topic of definitions: its registry is kept up to date, what can't be used is a warning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from aiokafka import AIOKafkaConsumer

from agents.registry.definitions import Published
from agents.registry.registry import Registry, RegistryRecord
from agents.registry.topic import follow
from agents.registry.unusable import UnusableRecord, shown_key
from agents.warnings import Warnings

Followed = TypeVar("Followed", bound=Registry[Any, Any])


def stays_in_force(told: UnusableRecord) -> str:
    """For a warning about a record of a registry that keeps what was before (``Registry.keeps_before``)."""
    return f"offset {told.offset} can't be used, and what was published before it stays: {told.reason}"


SEEN_SECONDS: Final = 0.02


class Feed(Generic[Followed]):
    """Reads a registry's topic from its start and goes on.

    ``changed`` is called when all of the start was read, and then after each poll that brought something.
    ``code`` is that of the warning about a record that can't be used, ``tell`` makes its text.
    """

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        registry: Followed,
        code: str,
        warnings: Warnings | None = None,
        changed: Callable[[], None] = lambda: None,
        tell: Callable[[UnusableRecord], str] = stays_in_force,
    ) -> None:
        self._new_consumer = new_consumer
        self.registry = registry
        self._code = code
        self._warnings = warnings or Warnings()
        self._changed = changed
        self._tell = tell
        self._warned: set[bytes | None] = set()
        self.loaded = asyncio.Event()
        """Set once everything that was published at the start is in use."""

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow(self._new_consumer, self.registry.topic, self._take_all, self._all_read)

    def take(self, record: RegistryRecord) -> None:
        """Put one record to use."""
        if not self.registry.take(record):
            told = self.registry.unusable[record.key]
            self._warnings.note(self._code, self.place(record.key), self._tell(told))
            self._warned.add(record.key)
        for key in self._warned - self.registry.unusable.keys():
            self._warnings.clear(self._code, self.place(key))
            self._warned.discard(key)

    def place(self, key: bytes | None) -> str:
        """Of a warning about a key."""
        return f"{self.registry.topic}/0 key {shown_key(key)}"

    def _take_all(self, records: Sequence[RegistryRecord]) -> None:
        for record in records:
            self.take(record)
        if self.loaded.is_set():
            self._changed()

    def _all_read(self) -> None:
        self._changed()
        self.loaded.set()


async def read_up_to(feed: Feed[Any], published: Published[Any]) -> None:
    """Wait until a feed of definitions has read what was published, or what came after it."""
    known, key = feed.registry.published, published.definition.key
    while key not in known or known[key].version < published.version:
        await asyncio.sleep(SEEN_SECONDS)
