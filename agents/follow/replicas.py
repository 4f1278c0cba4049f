"""The partitions that a reader can be asked about, and the instant that each of its answers is right at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from aiokafka import TopicPartition

from agents.backfill.versions.catalog import Catalog, VersionMissing
from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits
from agents.follow.followed import Followed
from agents.follow.source_ends import SourceEnds
from agents.follow.view import View
from agents.kafka.placement import Place
from tables.cut import Cut

log = structlog.get_logger("turnstile.follow")


class TooFarBehind(Exception):
    """A reader's answer would be older than is allowed."""

    def __init__(self, partition: int, behind_ms: int) -> None:
        super().__init__(f"this reader is {behind_ms / 1000:.1f} s behind in partition {partition}")
        self.partition = partition
        self.behind_ms = behind_ms


@dataclass(slots=True, eq=False)
class Replica:
    """One partition. ``proven_ms``: everything that its sources held at some time is in the store, and this
    is that time less the grace."""

    followed: Followed
    view: View
    cut: Cut | None = None
    """The one whose rules the view has."""
    proven_ms: int = 0

    @property
    def stands(self) -> bool:
        """Whether it can be asked."""
        followed = self.followed
        return followed.is_whole and self.cut is not None and self.cut is followed.cut

    @property
    def as_of_ms(self) -> int:
        return max(self.view.stream_time_ms, self.proven_ms)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a replica answers with: ``behind_ms`` is how far ``as_of_ms`` is behind the wall clock."""

    view: View
    as_of_ms: int
    behind_ms: int


class Replicas:
    """All partitions of a reader. Told by a ``Follower`` and by ``SourceEnds``."""

    def __init__(
        self,
        partitions: int,
        sources_of: Callable[[int], Sequence[TopicPartition]],
        limits: Limits,
        ends: SourceEnds,
        wall_ms: Callable[[], int],
        grace_ms: int,
        max_behind_ms: int,
        engine: Engine,
    ) -> None:
        """``partitions`` of the table; ``sources_of`` gives the source partitions of one of them."""
        self._engine = engine
        self.partitions = partitions
        self._sources_of = sources_of
        self._limits = limits
        self._ends = ends
        self._wall_ms = wall_ms
        self._grace_ms = grace_ms
        self._max_behind_ms = max_behind_ms
        self._catalog = Catalog({}, {})
        self._missing: set[int] = set()
        """Partitions with versions that the definitions topic hasn't brought yet."""
        self.known: dict[int, Replica] = {}
        self._moved = asyncio.Event()

    # -- what is told --------------------------------------------------------------------------------

    def changed(self, followed: Followed) -> None:
        """A partition's store may stand for more than before."""
        replica = self.known.get(followed.partition)
        if replica is None or replica.followed is not followed:
            place = Place(followed.partition, self.partitions)
            replica = Replica(followed, View(place, followed.reading.store, self._limits, self._engine))
            self.known[followed.partition] = replica
        self._stand(replica)
        self._has_moved()

    def lost(self, partition: int) -> None:
        """The partition is followed no longer."""
        self.known.pop(partition, None)
        self._missing.discard(partition)
        self._has_moved()

    def define(self, catalog: Catalog) -> None:
        """Definitions were published."""
        self._catalog = catalog
        for partition in sorted(self._missing):
            self._stand(self.known[partition])

    def ends_told(self) -> None:
        """The ends of the sources were asked for once more."""
        for replica in self.known.values():
            if replica.stands:
                self._prove(replica)

    def _stand(self, replica: Replica) -> None:
        followed = replica.followed
        checkpoint, cut = followed.checkpoint, followed.cut
        if not followed.is_whole or checkpoint is None or cut is None:
            return
        rules = replica.view.rules
        if replica.cut is not cut:
            try:
                rules = self._catalog.rules(cut.active)
            except VersionMissing as missing:
                self._missing.add(followed.partition)
                log.info("definitions_behind", partition=followed.partition, reason=str(missing))
                return
        self._missing.discard(followed.partition)
        replica.cut = cut
        replica.view.stand_at(checkpoint, cut, rules)
        self._prove(replica)

    async def move(self) -> None:
        """Wait until some partition changes."""
        await self._moved.wait()

    def _has_moved(self) -> None:
        self._moved.set()  # who waits now goes on; who waits from now on waits for the next change
        self._moved = asyncio.Event()

    def _prove(self, replica: Replica) -> None:
        checkpoint = replica.followed.checkpoint
        if checkpoint is None:
            return
        taken_ms = self._ends.taken_ms(checkpoint, self._sources_of(replica.followed.partition))
        if taken_ms is not None:
            replica.proven_ms = max(replica.proven_ms, taken_ms - self._grace_ms)

    # -- what is asked -------------------------------------------------------------------------------

    def standing(self, partition: int) -> Standing | None:
        """What the partition answers with now; None: it can't be asked here. Raises TooFarBehind."""
        replica = self.known.get(partition)
        if replica is None or not replica.stands:
            return None
        as_of_ms = replica.as_of_ms
        behind_ms = max(0, self._wall_ms() - as_of_ms)
        if behind_ms > self._max_behind_ms:
            raise TooFarBehind(partition, behind_ms)
        return Standing(replica.view, as_of_ms, behind_ms)
