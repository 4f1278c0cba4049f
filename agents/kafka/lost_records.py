"""Records that retention took before they were read: noticed and told, at the start and while reading.

aiokafka goes on with the first record that is there, and says nothing of those between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

Lost = Callable[[TopicPartition, int, int], None]
"""(partition, offset of the first record that is gone, offset of the first that is there)."""


def lost_text(place: str, first: int, there: int, before: str, whose: str) -> str:
    """One sentence for people, the same for all who lose records."""
    return (
        f"{there - first} records of {place} (offsets {first} to {there - 1}) were gone before they could be "
        f"{before}: its retention is shorter than {whose} outage"
    )


class LostRecords:
    """Watches one consumer. ``lost`` is told what is gone; ``taken`` tells the offset after the last record
    that is in the state, 0 when there is none."""

    def __init__(self, lost: Lost, taken: Callable[[TopicPartition], int]) -> None:
        self._lost = lost
        self._taken = taken
        self._left: dict[TopicPartition, int] = {}
        """Positions that the broker called out of range."""

    async def at_start(
        self, consumer: AIOKafkaConsumer, committed: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, int]:
        """Compare committed offsets (None: there is none) with where the logs begin now.

        Where records are gone the consumer is put to the first one that is there, and that is committed, so
        that nobody tells it again. Returns these positions.
        """
        if not committed:
            return {}
        begins: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(committed))
        moved: dict[TopicPartition, int] = {}
        for tp, begin in begins.items():
            if tp not in consumer.assignment():
                continue  # moved meanwhile: the new owner will tell
            offset = committed[tp]
            first = max(offset or 0, self._taken(tp))
            if begin > first and (offset is not None or first):
                self._lost(tp, first, begin)
            if offset is not None and begin > offset:
                consumer.seek(tp, begin)
                moved[tp] = begin
            self._watch(consumer, tp)
        if moved:
            with suppress(KafkaError):  # then the next start tells it once more
                await consumer.commit(moved)
        return moved

    def _watch(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """Have the state of a partition's assignment tell when its position is reset."""
        state: Any = consumer._subscription.subscription.assignment.state_value(tp)
        if not isinstance(state.reset_to, partial):
            state.await_reset = partial(self._reset_begins, tp, state, state.await_reset)
            state.reset_to = partial(self._reset_ends, tp, state.reset_to)
        self._left.pop(tp, None)

    def _reset_begins(self, tp: TopicPartition, state: Any, await_reset: Any, strategy: int) -> None:
        if state._position is not None:
            self._left[tp] = state._position
        await_reset(strategy)

    def _reset_ends(self, tp: TopicPartition, reset_to: Any, position: int) -> None:
        reset_to(position)
        left = self._left.pop(tp, None)
        if left is not None and position > left:
            self._lost(tp, left, position)
