"""Telling the progress of versions: what the partitions of a worker say, onto the topic."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from agents.backfill.progress.progress import (
    Progress,
    ProgressKey,
    ProgressOfVersions,
    encode_key,
    encode_progress,
    follows,
    merged,
)
from agents.registry.feed import Feed
from agents.warnings import Warnings

FIGURES_SECONDS: Final = 1.0
"""New figures within a state are sent at most once in this time, for each version and partition."""
WAIT_SECONDS: Final = 0.1
UNSENT: Final = "progress_unsent"


class ProgressWriter:
    """Sends what is noted, with the worker's producer; ``feed`` says what readers know already.

    Nothing waits for it: a crash before a record is sent loses no more than news, because whoever adopts the
    partition notes the same again from its checkpoint record (``note_again``).
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        feed: Feed[ProgressOfVersions],
        warnings: Warnings,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._producer = producer
        self._feed = feed
        self._warnings = warnings
        self._wall_ms = wall_ms
        self._sent: dict[ProgressKey, tuple[Progress, float]] = {}
        """The last record sent of each key, and when, by the monotonic clock."""
        self._waiting: dict[ProgressKey, Progress | None] = {}
        """None: it is to be forgotten."""
        self._work = asyncio.Event()
        self._sending = asyncio.Lock()

    def note(self, key: ProgressKey, progress: Progress) -> None:
        """Have readers know this; what would take a state back is left out. Any ``at_ms`` is replaced."""
        before = self._known(key)
        if not follows(before, progress):
            return
        progress = merged(before, progress)
        if before is not None and progress == replace(before, at_ms=progress.at_ms):
            return
        now_ms = self._wall_ms()
        is_same = before is not None and before.state == progress.state
        self._waiting[key] = replace(
            progress, at_ms=now_ms, since_ms=progress.since_ms if is_same else now_ms
        )
        self._work.set()

    def note_again(self, key: ProgressKey, progress: Progress) -> None:
        """Likewise, where the state is read from a checkpoint record and its figures are not known any more:
        left out where readers know the state."""
        before = self._known(key)
        if before is None or before.state != progress.state:
            self.note(key, progress)

    def forget(self, key: ProgressKey) -> None:
        """The version is in force nowhere any more: take its record from the topic."""
        self._waiting.pop(key, None)
        if self._known(key) is not None:
            self._waiting[key] = None
            self._work.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await self._feed.loaded.wait()
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._send(self._due)
            except KafkaError as error:
                text = f"progress of audiences can't be written, and is tried again: {error!r}"
                self._warnings.note(UNSENT, self._feed.registry.topic, text)
                self._work.set()
            else:
                self._warnings.clear(UNSENT, self._feed.registry.topic)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIGURES_SECONDS if self._waiting else WAIT_SECONDS):
                    await self._work.wait()
            if self._waiting:
                self._work.set()

    async def flush(self) -> None:
        """Send all that waits, and wait until the brokers have it. Raises KafkaError."""
        await self._send(lambda: list(self._waiting))

    def _known(self, key: ProgressKey) -> Progress | None:
        """The furthest of what waits, of what was sent, and of what the topic has."""
        if key in self._waiting:
            return self._waiting[key]
        read = self._feed.registry.published.get(key)
        sent = self._sent.get(key)
        if sent is None:
            return read
        return sent[0] if follows(read, sent[0]) else read

    def _due(self) -> list[ProgressKey]:
        now = time.monotonic()
        found: list[ProgressKey] = []
        for key, progress in self._waiting.items():
            last = self._sent.get(key)
            is_news = progress is None or last is None or last[0].state != progress.state
            if is_news or (last is not None and now - last[1] >= FIGURES_SECONDS):
                found.append(key)
        return found

    async def _send(self, wanted: Callable[[], list[ProgressKey]]) -> None:
        async with self._sending:
            await self._send_now({key: self._waiting[key] for key in wanted()})

    async def _send_now(self, sending: dict[ProgressKey, Progress | None]) -> None:
        futures = []
        for key, progress in sending.items():
            value = None if progress is None else encode_progress(progress)
            futures.append(
                await self._producer.send(self._feed.registry.topic, value, encode_key(key), partition=0)
            )
        await asyncio.gather(*futures)
        for key, progress in sending.items():
            if progress is None:
                self._sent.pop(key, None)
            else:
                self._sent[key] = progress, time.monotonic()
            if self._waiting.get(key, progress) is progress:  # unless it was noted anew meanwhile
                self._waiting.pop(key, None)
