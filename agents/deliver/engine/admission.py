"""How many messages are in hand, and when more are let in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.deliver.contract.sink import Lanes
from agents.deliver.engine.report import DestinationReport

SPAN_FACTOR = 10
"""So many times ``in_flight`` messages may be done behind one that isn't, before reading stops."""
LEAST_IN_FLIGHT = 1_000
BATCHES_IN_FLIGHT = 4
"""So many full batches per lane may be in hand."""


class Admission:
    """Counts the messages in hand. ``span``: messages since the first that isn't done, over all partitions.

    An *epoch* ends when all messages are let go: what is done with one of an ended epoch no longer counts.
    """

    def __init__(self, in_flight: int, span: Callable[[], int], report: DestinationReport) -> None:
        self.epoch = 0
        self._in_flight = in_flight
        self._span = span
        self._report = report
        self._in_hand = 0
        self._room = asyncio.Event()
        self._empty = asyncio.Event()

    def fit(self, lanes: Lanes) -> None:
        """Let in no more than lanes of this size can use."""
        # What is delivered behind one that isn't is sent again after a restart: no more than is useful.
        wanted = max(LEAST_IN_FLIGHT, BATCHES_IN_FLIGHT * lanes.count * lanes.batch)
        self._in_flight = min(self._in_flight, wanted)

    @property
    def is_full(self) -> bool:
        return self._in_hand >= self._in_flight or (
            self._in_hand > 0 and self._span() >= self._in_flight * SPAN_FACTOR
        )

    async def enter(self, epoch: int) -> bool:
        """Count one more message, as soon as there is room. False: the epoch has ended."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()
            if self.epoch != epoch:
                return False
        if self.epoch != epoch:
            return False
        self._count(self._in_hand + 1)
        return True

    def leave(self, epoch: int) -> None:
        """A message of this epoch is done."""
        if self.epoch == epoch:
            self._count(self._in_hand - 1)
            self._room.set()

    def end_epoch(self) -> None:
        """Let in nothing more of this epoch."""
        self.epoch += 1
        self._room.set()

    def forget(self) -> None:
        """Nothing is in hand any more."""
        self._count(0)

    async def drained(self) -> bool:
        """Wait until nothing is in hand. False: the epoch ended before."""
        epoch = self.epoch
        while self._in_hand and self.epoch == epoch:
            self._empty.clear()
            await self._empty.wait()
        return self.epoch == epoch

    def _count(self, in_hand: int) -> None:
        self._in_hand = self._report.in_hand = in_hand
        if not in_hand:
            self._empty.set()
