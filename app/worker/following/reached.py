"""Waiting until a followed partition has come as far as a lookup wants (``app.lookup.positions``)."""

from __future__ import annotations

from aiokafka import TopicPartition

from agents.follow.replicas import Replicas
from agents.follow.source_ends import SourceEnds
from agents.kafka.placement import table_partition
from agents.topics.noted import taken_of
from app.lookup.positions import positions_of


class Reached:
    """Waits until partitions of the table have come as far as somebody wants.

    ``ends`` asks for the end of the ``changelog``.
    """

    def __init__(self, ends: SourceEnds, changelog: str) -> None:
        self.replicas: Replicas | None = None
        """None: nothing is followed yet."""
        self._ends = ends
        self._changelog = changelog

    async def wait(self, partition: int, text: str) -> bool:
        """Until the partition is there; False: it isn't held here. Raises PositionUnreadable."""
        wanted = positions_of(text)
        replicas = self.replicas
        if replicas is None:
            return False
        end = 0 if wanted else await self._ends.end_of(TopicPartition(self._changelog, partition))
        of = replicas.partitions
        mine = [each for each in wanted if table_partition(each.partition, of) == partition]
        while (replica := replicas.known.get(partition)) is not None and replica.stands:
            checkpoint, is_read = replica.followed.checkpoint, replica.followed.position >= end
            if checkpoint is None or not is_read:
                pass
            elif all(taken_of(checkpoint, each.topic, each.partition)[0] >= each.offset for each in mine):
                return True
            await replicas.move()
        return False
