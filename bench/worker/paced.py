"""A process that produces events at a steady rate; each carries the instant it was due (``bench latency``).

The instant is the planned one: when the producer or the broker is late, that counts as latency.
"""

from __future__ import annotations

import asyncio
import sys
import time
from random import Random

from aiokafka import AIOKafkaProducer

from agents.kafka.batches import Batches
from bench.kafka.clients import producer_client
from bench.processes import write_result
from bench.workload.events import NAMES, ZIPF, Places
from rules.time.instants import format_instant

TICK_SECONDS = 0.004
SWITCH_SHARE = 0.05
USERS = 200_000
SWITCHERS = 2_000


class Source:
    """The events, one after the other: 5 % switches, the others as in the log of
    ``bench.workload.events``. Each run over a topic has its own users who switch."""

    def __init__(self, partitions: int, run: int = 0) -> None:
        self._random = Random(7).random
        self._first_switcher = USERS + run * SWITCHERS
        self._places = Places(partitions)
        self._deltas: dict[int, int] = {}
        self.events = self.switches = 0

    def next(self, due_ns: int, wall: str) -> tuple[bytes, bytes, int]:
        """(key, value, partition) of an event due at ``due_ns`` of the monotonic clock."""
        random = self._random
        if random() < SWITCH_SHARE:
            user = self._first_switcher + int(random() * SWITCHERS)
            delta = self._deltas[user] = -self._deltas.get(user, -1)
            name, properties = "switch", f'{{"delta":{delta},"category":"none","channel":"web"}}'
            self.switches += 1
        else:
            user = int(USERS * random() ** ZIPF)
            name = NAMES[int(random() ** 2 * len(NAMES))][0]
            price = int(random() ** 3 * 40000) / 100
            properties = f'{{"sku":"sku-00001","category":"shoes","price":{price},"channel":"app"}}'
        key, partition = self._places.of(user)
        self.events += 1
        value = (
            f'{{"type":"track","id":"{due_ns}-{self.events}","user_id":"{key.decode()}",'
            f'"event":"{name}","time":"{wall}","properties":{properties}}}'
        )
        return key, value.encode(), partition


class Outlet:
    """One partition: what waits goes out as one batch as soon as the one before is acknowledged.

    (aiokafka sends one batch per partition in a request, and one request at a time: many small batches would
    queue up behind each other.)
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._waiting: list[tuple[bytes, bytes]] = []
        self._wanted = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, key: bytes, value: bytes) -> None:
        self._waiting.append((key, value))
        self._wanted.set()

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            await self._wanted.wait()
            self._wanted.clear()
            if not self._waiting:
                continue
            waiting, self._waiting = self._waiting, []
            lot = Batches(self._producer, self._topic, self._partition)
            for key, value in waiting:
                await lot.add(key, value)
            await lot.acknowledged()

    async def close(self) -> None:
        """Wait until everything is acknowledged."""
        self._closing = True
        self._wanted.set()
        await self._task


async def produce(
    bootstrap: str, topic: str, partitions: int, rate: int, seconds: float, run: int, result: str
) -> None:
    source = Source(partitions, run)
    late_ticks = 0
    async with producer_client(bootstrap) as producer:
        await producer.partitions_for(topic)
        outlets = [Outlet(producer, topic, partition) for partition in range(partitions)]
        began = time.monotonic()
        for tick in range(1, round(seconds / TICK_SECONDS) + 1):
            due = began + tick * TICK_SECONDS
            wait = due - time.monotonic()
            late_ticks += wait < -TICK_SECONDS
            await asyncio.sleep(max(0.0, wait))
            wall = format_instant(time.time_ns() // 1_000_000)
            for _ in range(source.events, round(rate * tick * TICK_SECONDS)):
                key, value, partition = source.next(int(due * 1e9), wall)
                outlets[partition].put(key, value)
        took = time.monotonic() - began
        for outlet in outlets:
            await outlet.close()
        await producer.flush()
    write_result(
        result,
        {"events": source.events, "switches": source.switches, "seconds": took, "late_ticks": late_ticks},
    )


if __name__ == "__main__":
    _bootstrap, _topic, _partitions, _rate, _seconds, _run, _result = sys.argv[1:]
    asyncio.run(
        produce(_bootstrap, _topic, int(_partitions), int(_rate), float(_seconds), int(_run), _result)
    )
