"""Follows the topic of claims for some partitions, into a store each, so that users are found by identities.

Nothing but the topic makes these stores: whoever follows a partition knows the same, and a store whose files
are gone is read again. Until a partition is read up to where it ended when it was taken, nothing is said of
it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.identities.owner import Owner, Sweep
from agents.restore.cleaning import StoreCleaner
from agents.restore.stores import store_path
from agents.warnings import Warnings
from tables.claims import Identity, Record, record_of
from tables.identities import Collision, Holder, IdentityStore
from tables.opening import open_store
from tables.store import RocksMemory
from tables.store_faults import StoreInUse, wipe

log = structlog.get_logger("turnstile.identities")

FOLLOW_MS: Final = 200
RECORDS: Final = 1_000
"""Taken at once, in some milliseconds: others have their turn between."""
KEEP_MS: Final = 60_000
"""So often the store notes that it has all, though nothing came."""
STALE_MS: Final = 12 * 3600 * 1000
"""A store that hasn't had all for so long is read again: the broker forgets after a day, by default, which
claims are forgotten."""
RETRY_SECONDS: Final = 1.0
UNREADABLE: Final = "claim_unreadable"
UNFOLLOWED: Final = "identities_unfollowed"


@dataclass(slots=True)
class _Followed:
    """One partition."""

    store: IdentityStore
    topic_id: bytes
    end: int
    """Where the topic ended when it was taken."""
    is_read: bool = False
    as_of_ms: int = 0
    """The store has every claim that was in the topic then."""
    kept_ms: int = 0
    """The latest such instant that the store noted."""
    sweep: Sweep | None = None
    """Under way."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a partition says of identities, as of an instant (ms)."""

    holders: Sequence[Holder | None]
    as_of_ms: int


class IdentityFollower:
    """The partitions of one process: ``hold`` says which, ``run`` follows them.

    ``topic_id`` is empty where the broker gives no ids. ``max_behind_ms``: a partition whose answers would be
    older isn't asked; None: it may be as old as it is. ``owner`` writes to the partitions that are followed;
    None: they are only read.
    """

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        topic_id: bytes,
        directory: Path,
        memory: RocksMemory,
        warnings: Warnings,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        max_behind_ms: int | None = None,
        owner: Owner | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self.topic = topic
        self._topic_id = topic_id
        self._directory = directory
        self._memory = memory
        self._warnings = warnings
        self._wall_ms = wall_ms
        self._max_behind_ms = max_behind_ms
        self._owner = owner
        self._wanted: frozenset[int] = frozenset()
        self._followed: dict[int, _Followed] = {}
        self._cleaner = StoreCleaner()
        self._changed = asyncio.Event()

    def hold(self, partitions: Collection[int]) -> None:
        """Follow these partitions from now on, and no others."""
        self._wanted = frozenset(partitions)
        self._changed.set()

    @property
    def in_use(self) -> Set[int]:
        """Partitions whose stores are open, or may be opened at any moment."""
        return self._wanted | self._followed.keys()

    def begin_anew(self, topic_id: bytes) -> None:
        """The topic was made again: what was known of the one before doesn't count."""
        self._topic_id = topic_id
        self._changed.set()

    # -- answers -------------------------------------------------------------------------------------

    def holders(self, partition: int, identities: Sequence[Identity]) -> Found | None:
        """Who has identities of a partition; None: it isn't followed here, isn't read to its end yet, or that
        is too long ago."""
        followed = self._read(partition)
        return None if followed is None else Found(followed.store.holders(identities), followed.as_of_ms)

    def collided(
        self, partition: int, project: str, after: bytes, limit: int
    ) -> tuple[list[Collision], bytes | None, int] | None:
        """Some collisions, where the next ones begin, and the instant (ms); None: as above."""
        followed = self._read(partition)
        return (
            None if followed is None else (*followed.store.collided(project, after, limit), followed.as_of_ms)
        )

    @property
    def collisions(self) -> int:
        """How many identities of the partitions here several users claim."""
        return sum(each.store.collisions for each in self._followed.values())

    @property
    def unread(self) -> list[int]:
        """Partitions that are wanted and can't be asked yet."""
        return sorted(each for each in self._wanted if self._read(each) is None)

    def _read(self, partition: int) -> _Followed | None:
        followed = self._followed.get(partition)
        if followed is None or not followed.is_read:
            return None
        most_ms = self._max_behind_ms
        is_old = most_ms is not None and self._wall_ms() - followed.as_of_ms > most_ms
        return None if is_old else followed

    async def claim(self, partition: int, claims: Sequence[Record]) -> int:
        """Write claims of as long ago as may be, but for those that are known to be there; how many.

        Raises KafkaError.
        """
        assert self._owner is not None
        followed = self._read(partition)
        if followed is not None:
            known = followed.store.standing([each.key or b"" for each in claims])
            claims = [each for each, it in zip(claims, known, strict=True) if it is None]
        await self._owner.write(partition, claims)
        return len(claims)

    # -- following -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. Raises StoreBroken, StoreUnusable."""
        try:
            while not self._wanted:  # a consumer that was asked nothing can't be stopped in order
                await self._change()
            if self._owner is not None:
                await self._owner.ready()
            while True:
                try:
                    async with self._new_consumer() as consumer:
                        await self._assign(consumer)
                        while True:
                            await self._follow(consumer)
                except KafkaError as error:
                    self._warnings.note(UNFOLLOWED, self.topic, repr(error))
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            for each in self._followed.values():
                each.store.close()
            self._followed.clear()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        if not self._is_assigned:
            await self._assign(consumer)
        if not self._followed:
            await self._change()
            return
        is_sweeping = any(each.sweep for each in self._followed.values())
        polled = await consumer.getmany(timeout_ms=0 if is_sweeping else FOLLOW_MS, max_records=RECORDS)
        for tp, records in polled.items():
            followed, position = self._followed[tp.partition], records[-1].offset + 1
            claims = [record_of(each.key, each.value, each.headers) for each in records]
            if self._owner is not None:
                await self._owner.before_taking(tp.partition, followed.store, claims)
            told = followed.store.take(claims, position, followed.topic_id)
            for text in told:
                self._warnings.note(UNREADABLE, f"{self.topic}/{tp.partition}", text)
            await asyncio.sleep(0)
        self._cleaner.look([each.store.files for each in self._followed.values()])
        for partition, followed in self._followed.items():
            await self._look(consumer, TopicPartition(self.topic, partition), followed)
            if self._owner is not None and followed.is_read:
                followed.sweep = await self._owner.look(partition, followed.store, followed.sweep)

    async def _look(self, consumer: AIOKafkaConsumer, tp: TopicPartition, followed: _Followed) -> None:
        """Note how far a partition is read."""
        position = await consumer.position(tp)  # passes what compaction took
        end, seen_ms = consumer.last_stable_offset(tp), consumer.last_poll_timestamp(tp)
        if end is None or seen_ms is None or position < max(end, followed.end):
            return
        followed.as_of_ms = max(followed.as_of_ms, seen_ms)
        if not followed.is_read:
            followed.is_read = True
            log.info("identities_read", partition=tp.partition, position=position)
        if followed.as_of_ms - followed.kept_ms >= KEEP_MS:
            followed.kept_ms = followed.as_of_ms
            followed.store.take((), position, followed.topic_id, followed.as_of_ms)

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        """Open and close stores as it is wanted, and read each from where it stands."""
        wanted, topic_id = self._wanted, self._topic_id
        for partition, followed in list(self._followed.items()):
            if partition not in wanted or followed.topic_id != topic_id:
                self._followed.pop(partition).store.close()
        new = wanted - self._followed.keys()
        ends = await consumer.end_offsets([TopicPartition(self.topic, each) for each in new]) if new else {}
        for tp, end in ends.items():
            try:
                self._followed[tp.partition] = self._open(tp.partition, end)
            except StoreInUse:  # of a process that is ending
                log.info("identities_in_use", partition=tp.partition)
        consumer.assign([TopicPartition(self.topic, each) for each in self._followed])
        for partition, followed in self._followed.items():
            consumer.seek(TopicPartition(self.topic, partition), followed.store.position)
        self._warnings.clear(UNFOLLOWED, self.topic)
        if not self._is_assigned:
            await asyncio.sleep(FOLLOW_MS / 1000)

    def _open(self, partition: int, end: int) -> _Followed:
        path = store_path(self._directory, self.topic, partition)
        store = IdentityStore(open_store(path, self._memory).store)
        is_other = bool(store.topic_id and self._topic_id and store.topic_id != self._topic_id)
        is_stale = store.position > 0 and self._wall_ms() - store.read_ms > STALE_MS
        if is_other or is_stale or store.position > end:
            store.close()
            wipe(path)
            store = IdentityStore(open_store(path, self._memory).store)
        return _Followed(store, self._topic_id, end, kept_ms=store.read_ms)

    @property
    def _is_assigned(self) -> bool:
        """What is wanted is what is followed."""
        is_current = all(each.topic_id == self._topic_id for each in self._followed.values())
        return is_current and self._wanted == self._followed.keys()

    async def _change(self) -> None:
        """Wait until other partitions are wanted."""
        self._changed.clear()
        if self._is_assigned:
            await self._changed.wait()
