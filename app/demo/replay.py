"""Replaying the log: the records of each day go to the events topic when the replay's date comes to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from faust.types import TP

from agents.kafka.batches import Batches
from agents.kafka.placement import partition_of
from app.demo.purchases import DAY_MS, Purchase, records_of
from app.worker.worker import Worker

TICK_SECONDS = 0.1
CHUNK = 500
"""Purchases sent at once, at most."""
AHEAD = 4_000
"""Records that may wait for the worker. It is what sets the speed then, and the view shows it working."""


class PurchaseReplay:
    """Sends purchases as fast as asked, and knows the date that the log has come to."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partitions: int,
        purchases: Sequence[Purchase],
        end_ms: int,
        days_per_second: float | None,
    ) -> None:
        self.start_ms = purchases[0].at_ms // DAY_MS * DAY_MS
        self.end_ms = end_ms
        self.date_ms = self.start_ms
        """Everything up to here is in the log."""
        self.purchases_sent = 0
        self.sent = 0
        """Records, profile updates included."""
        self.ended = False
        self.middle_ms = (self.start_ms + end_ms) // 2
        self._stood_seconds: float | None = None
        """How long the log stood still there; None: nobody has let it go on yet."""
        self.next_offsets = [0] * partitions
        """Per partition, the offset after the last record in the log."""
        self._producer = producer
        self._topic = topic
        self._purchases = purchases
        self._days_per_second = days_per_second

    async def run(self, done: Callable[[], int]) -> None:
        """Send everything; ``done`` tells how many records the worker has evaluated."""
        started = time.monotonic()
        at = 0
        while at < len(self._purchases):
            while self.sent - done() > AHEAD:
                await asyncio.sleep(TICK_SECONDS / 10)
            date_ms = self._wanted(time.monotonic() - started)
            upto = at
            while upto < min(len(self._purchases), at + CHUNK) and self._purchases[upto].at_ms <= date_ms:
                upto += 1
            await self._send(self._purchases[at:upto])
            caught_up = upto == len(self._purchases) or self._purchases[upto].at_ms > date_ms
            self.date_ms = date_ms if caught_up else self._purchases[upto - 1].at_ms
            at = upto
            if caught_up:
                await asyncio.sleep(TICK_SECONDS)
        await self._idle_until_the_end(started)
        self.date_ms = self.end_ms
        self.ended = True

    async def _idle_until_the_end(self, started: float) -> None:
        """Time goes on after the last purchase; with few customers for days."""
        while (date_ms := self._wanted(time.monotonic() - started)) < self.end_ms:
            self.date_ms = max(self.date_ms, date_ms)
            await asyncio.sleep(TICK_SECONDS)

    def _wanted(self, seconds: float) -> int:
        """The date that the replay should have come to."""
        stood_seconds = self._stood_seconds
        most_ms = self.middle_ms if stood_seconds is None else self.end_ms
        if self._days_per_second is None:
            return most_ms
        played_seconds = seconds - (stood_seconds or 0.0)
        return min(most_ms, self.start_ms + round(played_seconds * self._days_per_second * DAY_MS))

    def go_on(self, stood_seconds: float) -> None:
        """Let the log pass its middle, where it stands still until then."""
        self._stood_seconds = stood_seconds

    async def _send(self, purchases: Sequence[Purchase]) -> None:
        lots: dict[int, Batches] = {}
        count = 0
        for purchase in purchases:
            partition = partition_of(purchase.customer, len(self.next_offsets))
            lot = lots.get(partition)
            if lot is None:
                lot = lots[partition] = Batches(self._producer, self._topic, partition)
            for record in records_of(purchase):
                await lot.add(record.key, record.value, record.at_ms)
                count += 1
        ends = await asyncio.gather(*(lot.acknowledged() for lot in lots.values()))
        for partition, end in zip(lots, ends, strict=True):
            self.next_offsets[partition] = end
        self.sent += count
        self.purchases_sent += len(purchases)


class ReplayClock:
    """What the worker takes for the time: idle partitions follow the replay's date, not today's.

    Else every window would run out, and everybody lapse, as soon as a partition is idle. An
    ``agents.evaluate.evaluator.Clock``; a partition is caught up when it has all that the log has up to the
    date.
    """

    def __init__(self, worker: Worker, replay: PurchaseReplay) -> None:
        self._worker = worker
        self._replay = replay

    def wall_ms(self) -> int:
        return self._replay.date_ms

    def caught_up_ms(self, partition: int) -> int | None:
        source = TP(self._worker.plan.events[0], partition)
        consumer = self._worker.consumer
        if consumer.seen_to_end_ms(source) is None:
            return None
        behind = (consumer.next_offset(source) or 0) < self._replay.next_offsets[partition]
        return None if behind else self._replay.date_ms
