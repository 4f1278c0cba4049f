"""The ends of the source topics, asked again and again: whether an owner has taken everything.

An owner that has nothing to do and one that is dead look alike in the changelog: nothing comes. What tells
them apart is whether records wait for it. Where none did when the ends were asked for, everything is decided
up to that instant, less the grace that records have on their way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.topics.noted import taken_of
from tables.codec import Checkpoint

log = structlog.get_logger("turnstile.follow")

ASK_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 5.0
STILL_SECONDS: Final = 1.0
"""When a partition lacks the same offsets for so long, they are looked at: they may hold no record."""
PROBE_MS: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """The ends as they were told to somebody who asked at ``asked_ms`` (wall clock)."""

    asked_ms: int
    ends: Mapping[TopicPartition, int]


class SourceEnds:
    """Asks for the ends of ``sources``, which may grow. ``told`` is called after each answer."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        wall_ms: Callable[[], int],
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._new_consumer = new_consumer
        self._wall_ms = wall_ms
        self._told = told
        self.sources: frozenset[TopicPartition] = frozenset()
        self.seen: Seen | None = None
        """None: nobody has answered yet."""
        self._consumer: AIOKafkaConsumer | None = None
        self._empty: dict[TopicPartition, tuple[int, int]] = {}
        """Stretches of offsets that hold no record to be read: transactions' markers, or aborted ones."""
        self._lacking: dict[TopicPartition, tuple[int, int, float]] = {}
        """What an owner lacks: from, to, and since when (monotonic)."""

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                async with self._new_consumer() as consumer:
                    self._consumer = consumer
                    while True:
                        await self._ask(consumer)
                        await asyncio.sleep(ASK_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("source_ends_unknown", error=repr(error))
                await asyncio.sleep(ASK_SECONDS)
            finally:
                self._consumer = None

    async def end_of(self, tp: TopicPartition) -> int:
        """The end of a partition of any topic now. Waits while nobody can be asked."""
        while True:
            with suppress(KafkaError, OSError, TimeoutError):
                if (consumer := self._consumer) is not None:
                    return int((await consumer.end_offsets([tp]))[tp])
            await asyncio.sleep(ASK_SECONDS)

    async def _ask(self, consumer: AIOKafkaConsumer) -> None:
        if not self.sources:
            return
        asked_ms = self._wall_ms()
        async with asyncio.timeout(ANSWER_SECONDS):
            ends = await consumer.end_offsets(list(self.sources))
        self.seen = Seen(asked_ms, ends)
        self._told()
        await self._probe(consumer)

    def taken_ms(self, checkpoint: Checkpoint, sources: Iterable[TopicPartition]) -> int | None:
        """The latest instant (wall clock) at which everything that these sources held is known to be in the
        checkpoint; None: some of it isn't, or nobody knows."""
        seen = self.seen
        if seen is None:
            return None
        has_all = True
        for tp in sources:
            end = seen.ends.get(tp)
            if end is None:
                return None
            taken = taken_of(checkpoint, tp.topic, tp.partition)[0] + 1
            begin, empty_to = self._empty.get(tp, (0, 0))
            if begin <= taken < empty_to:
                taken = empty_to
            has_all = self._has(tp, taken, end) and has_all
        return seen.asked_ms if has_all else None

    def _has(self, tp: TopicPartition, taken: int, end: int) -> bool:
        if taken >= end:
            self._lacking.pop(tp, None)
            return True
        known = self._lacking.get(tp)
        if known is None or known[:2] != (taken, end):
            self._lacking[tp] = taken, end, asyncio.get_running_loop().time()
        return False

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        """Look whether what owners lack for long holds any record at all."""
        now = asyncio.get_running_loop().time()
        for tp, (taken, end, since) in list(self._lacking.items()):
            if now - since < STILL_SECONDS:
                continue
            self._lacking[tp] = taken, end, now
            consumer.assign([tp])
            try:
                consumer.seek(tp, taken)
                polled = await consumer.getmany(tp, timeout_ms=PROBE_MS, max_records=1)
                if not polled.get(tp) and await consumer.position(tp) >= end:
                    self._empty[tp] = taken, end
                    self._told()
            finally:
                consumer.unsubscribe()
