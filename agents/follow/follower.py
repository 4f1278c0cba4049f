"""Following some partitions of the changelog: a recovery that never ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Set

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from agents.follow.followed import ChangelogReplaced, Followed
from agents.follow.gate import Gate, OpenGate
from agents.restore.cleaning import StoreCleaner
from agents.restore.opening import ChangelogStores
from agents.restore.reading import Reading
from agents.topics.written import WrittenTopics
from tables.store import wipe
from tables.store_faults import StoreBroken, StoreUnusable

log = structlog.get_logger("turnstile.follow")

POLL_MS = 100
AT_ONCE = 500
"""Records that are taken in one go, some milliseconds: lookups get their turn between."""
AT_ONCE_BEHIND = 20_000
"""While no partition can be asked yet."""
AGAIN_SECONDS = 1.0
"""After Kafka refused something."""
DELETIONS_MS = 12 * 3_600_000
"""Compaction keeps a deletion for a day (``delete.retention.ms``): a store that stood for half of it begins
again, because it might keep a row for ever."""
UNFOLLOWED = "changelog_unfollowed"


class Follower:
    """Follows the partitions of ``follow``, each into a store of its own.

    ``new_consumer`` gives one that raises where an offset is out of range. ``changed`` is told of a partition
    whenever its store may stand for more than before, and ``lost`` when it is closed.
    """

    def __init__(
        self,
        stores: ChangelogStores,
        new_consumer: Callable[[], AIOKafkaConsumer],
        changed: Callable[[Followed], None] = lambda _: None,
        lost: Callable[[int], None] = lambda _: None,
        gate: Gate | None = None,
    ) -> None:
        self._stores = stores
        self._gate = gate or OpenGate()
        self._new_consumer = new_consumer
        self._changed = changed
        self._lost = lost
        self._wanted: frozenset[int] = frozenset()
        self.followed: dict[int, Followed] = {}
        self.unfollowed: dict[int, str] = {}
        """Partitions that can't be followed, and why."""
        self._cleaner = StoreCleaner()

    # -- what is followed ----------------------------------------------------------------------------

    def follow(self, partitions: Collection[int]) -> None:
        """Follow these and no others. The stores of the others are closed when this returns; one that is
        being opened just now is closed some moments later."""
        self._wanted = frozenset(partitions)
        for partition in self.followed.keys() - self._wanted:
            self._close(partition)

    @property
    def in_use(self) -> Set[int]:
        """Partitions whose stores are open, or may be opened at any moment."""
        return self._wanted | self.followed.keys()

    def begin_anew(self, topics: WrittenTopics) -> None:
        """The changelog is another topic now."""
        self._stores.topics = topics
        self.unfollowed.clear()
        for partition in list(self.followed):
            self._close(partition)

    def close(self) -> None:
        """Close all stores; they are whole."""
        self.follow(())

    def _close(self, partition: int) -> None:
        followed = self.followed.pop(partition)
        self._lost(partition)
        with contextlib.suppress(StoreBroken, StoreUnusable):
            followed.reading.store.close()

    # -- the loop ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. Raises StoreUnusable."""
        while True:
            try:
                async with self._new_consumer() as consumer:
                    await self._follow(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("following_interrupted", error=repr(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        assigned: dict[int, Followed] = {}
        while True:
            if lacking := self._wanted - self.followed.keys() - self.unfollowed.keys():
                await self._open(set(lacking))
            if assigned != self.followed:
                assigned = dict(self.followed)
                consumer.assign([self._stores.tp(each) for each in sorted(assigned)])
                for partition, followed in assigned.items():
                    consumer.seek(self._stores.tp(partition), followed.position)
            if assigned:
                await self._poll(consumer, assigned)
                self._cleaner.look([each.reading.store for each in self.followed.values()])
            else:
                await asyncio.sleep(POLL_MS / 1000)

    async def _poll(self, consumer: AIOKafkaConsumer, assigned: dict[int, Followed]) -> None:
        is_behind = not any(each.is_whole for each in assigned.values())
        most = AT_ONCE_BEHIND if is_behind else AT_ONCE
        try:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=most)
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                log.warning("changelog_out_of_range", partition=tp.partition)
                if tp.partition in self.followed:
                    self._close(tp.partition)
            return
        for tp, records in polled.items():
            if records and self.followed.get(tp.partition) is assigned[tp.partition]:
                admitted = records[: self._gate.admit(assigned[tp.partition], records)]
                if admitted:
                    with self._told(tp.partition) as followed:
                        followed.take(admitted, consumer.highwater(tp) or 0, self._stores.warnings)
                await asyncio.sleep(0)
        for partition, each in assigned.items():
            tp = self._stores.tp(partition)
            if self._is_held(consumer, tp, each):
                continue
            position = await consumer.position(tp)
            if self.followed.get(partition) is each and each.position < position:
                with self._told(partition) as followed:
                    followed.reach(position, max(position, consumer.highwater(tp) or 0))

    def _is_held(self, consumer: AIOKafkaConsumer, tp: TopicPartition, followed: Followed) -> bool:
        """Whether the gate is shut. What was polled and not taken is read again when it is open."""
        is_held, is_paused = self._gate.is_shut(tp.partition), tp in consumer.paused()
        if is_held and not is_paused:
            consumer.pause(tp)
            consumer.seek(tp, followed.position)
        elif is_paused and not is_held:
            consumer.resume(tp)
        return is_held

    @contextlib.contextmanager
    def _told(self, partition: int) -> Iterator[Followed]:
        """A partition that changes; where its store doesn't go with the changelog, it is begun again."""
        followed = self.followed[partition]
        try:
            yield followed
        except ChangelogReplaced as replaced:
            self._set_outdated(partition, str(replaced))
        except StoreBroken as broken:
            log.warning("followed_store_broken", partition=partition, reason=str(broken))
            self._close(partition)  # it is set aside when it is opened again
        else:
            self._changed(followed)

    def _set_outdated(self, partition: int, reason: str) -> None:
        if partition in self.followed:
            self._close(partition)
        path = self._stores.path(partition)
        wipe(path)
        log.warning("followed_anew", partition=partition, path=str(path), reason=reason)

    # -- opening -------------------------------------------------------------------------------------

    async def _open(self, partitions: set[int]) -> None:
        """Open stores where their changelogs go on; those that don't go with theirs begin empty.

        Raises KafkaError, StoreUnusable.
        """
        readings: dict[int, Reading] = {}
        try:
            async with self._new_consumer() as consumer:
                await self._stores.open_stores(consumer, partitions, readings)
                faults = await self._stores.faults(readings) | await self._overdue(consumer, readings)
            for partition, fault in faults.items():
                self._refuse(partition, readings.pop(partition), fault)
            for partition, reading in readings.items():
                await self._stores.index(partition, reading)
        except BaseException:
            _close_all(readings)
            raise
        for partition, reading in readings.items():
            if partition in self._wanted:
                self.followed[partition] = Followed.of(partition, reading)
                self._changed(self.followed[partition])
            else:
                _close_all({partition: reading})

    async def _overdue(self, consumer: AIOKafkaConsumer, readings: dict[int, Reading]) -> dict[int, str]:
        """Of the stores that weren't followed for so long that compaction may have taken deletions: why."""
        stood = [
            each for each, it in readings.items() if it.known.checkpoint and it.changelog.position < it.end
        ]
        since_ms = time.time_ns() // 1_000_000 - DELETIONS_MS
        tps = {self._stores.tp(each): since_ms for each in stood}
        recent = await consumer.offsets_for_times(tps) if tps else {}
        found: dict[int, str] = {}
        for tp in tps:
            first, position = recent.get(tp), readings[tp.partition].changelog.position
            if first is None or position < first.offset:
                found[tp.partition] = f"it was not followed for {DELETIONS_MS // 3_600_000} h"
        return found

    def _refuse(self, partition: int, reading: Reading, fault: str) -> None:
        """A store doesn't go with the changelog. An empty one would go with any that is whole."""
        is_new = not reading.known.changelog_next and not reading.known.checkpoint
        _close_all({partition: reading})
        if is_new:
            self.unfollowed[partition] = fault
            self._stores.warnings.note(UNFOLLOWED, self._stores.topics.changelog, fault)
        else:
            self._set_outdated(partition, fault)


def _close_all(readings: dict[int, Reading]) -> None:
    for reading in readings.values():
        with contextlib.suppress(StoreBroken, StoreUnusable):
            reading.store.close()
