"""Standbys: rows of other workers' partitions, followed so that they can be taken over without restoring."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from agents.follow.follower import Follower
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.restore.opening import ChangelogStores


class Standbys:
    """Those of one worker. ``wanted``: the partitions, as the group's leader shared them out last."""

    def __init__(
        self, stores: ChangelogStores, broker: Broker, wanted: Callable[[], Collection[int]]
    ) -> None:
        self._wanted = wanted
        self._follower = Follower(stores, partial(new_consumer, broker, auto_offset_reset="none"))

    async def run(self) -> None:
        """Follow until cancelled. Raises StoreUnusable."""
        await self._follower.run()

    def make_way(self, partitions: Collection[int]) -> None:
        """These become the worker's own: their stores are closed, as near to the ends as they are."""
        self._follower.follow(self._follower.followed.keys() - set(partitions))

    def look(self) -> None:
        """Partitions were shared out again."""
        self._follower.follow(self._wanted())

    @property
    def kept(self) -> dict[int, int]:
        """By partition that is kept, the records that it is behind its changelog."""
        followed = self._follower.followed
        return {each: max(0, it.end - it.position) for each, it in sorted(followed.items())}

    def close(self) -> None:
        """Close all stores; they are whole."""
        self._follower.close()
