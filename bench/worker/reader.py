"""A process that reads a topic from its end on, and notes how old its records are (``bench latency``).

``event``: the topic has events, whose id says when they were due. ``transition``: the topic has
transitions, whose ``trigger.id`` is the event's id; those caused by time are left out.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from aiokafka import TopicPartition

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from bench.processes import write_result

WRITE_SECONDS = 0.5
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


class SeenTrigger(msgspec.Struct):
    id: str


class Seen(msgspec.Struct):
    id: str
    audience: str | None = None
    cause: str | None = None
    trigger: SeenTrigger | None = None


class Ages:
    """What was read so far. ``ages_ms`` has only what was due after the warm-up."""

    def __init__(self, warm_up: float) -> None:
        self._warm_up_ns = int(warm_up * 1e9)
        self._begun_ns = time.monotonic_ns()
        self._from_ns: int | None = None
        self.read = self.switches = 0
        self.ages_ms: list[float] = []

    def take(self, seen: Seen, is_event: bool, now_ns: int) -> None:
        self.read += 1
        name = seen.id if is_event else seen.trigger.id if seen.trigger and seen.cause == "event" else None
        if name is None:
            return
        self.switches += seen.audience == "switched"
        due_ns = int(name.partition("-")[0])
        if due_ns < self._begun_ns:  # of an event from before
            return
        if self._from_ns is None:
            self._from_ns = due_ns + self._warm_up_ns
        if due_ns >= self._from_ns:
            self.ages_ms.append((now_ns - due_ns) / 1e6)

    def summary(self) -> dict[str, object]:
        ages = sorted(self.ages_ms)
        found = (
            {name: ages[int(share * (len(ages) - 1))] for name, share in PERCENTILES.items()} if ages else {}
        )
        if ages:
            found["max"] = ages[-1]
        return {"read": self.read, "switches": self.switches, "measured": len(ages), "milliseconds": found}


async def run(bootstrap: str, topic: str, kind: str, partitions: int, warm_up: float, result: str) -> None:
    decode = msgspec.json.Decoder(Seen).decode
    ages, is_event = Ages(warm_up), kind == "event"
    async with new_consumer(Broker(bootstrap)) as consumer:
        tps = [TopicPartition(topic, each) for each in range(partitions)]
        consumer.assign(tps)
        await consumer.seek_to_end(*tps)
        await asyncio.gather(*(consumer.position(tp) for tp in tps))
        written, read = time.monotonic(), -1
        write_result(result, ages.summary())
        while True:
            polled = await consumer.getmany(timeout_ms=200)
            now_ns = time.monotonic_ns()
            for records in polled.values():
                for record in records:
                    ages.take(decode(record.value), is_event, now_ns)
            # Sorting takes time that would count as latency: only when nothing comes.
            if not polled and read != ages.read and time.monotonic() - written > WRITE_SECONDS:
                write_result(result, ages.summary())
                written, read = time.monotonic(), ages.read


if __name__ == "__main__":
    _bootstrap, _topic, _kind, _partitions, _warm_up, _result = sys.argv[1:]
    asyncio.run(run(_bootstrap, _topic, _kind, int(_partitions), float(_warm_up), _result))
