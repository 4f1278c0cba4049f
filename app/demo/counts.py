"""Counting what comes out: the transitions topic, read as any consumer would."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

LATEST = 50
"""Transitions kept for the view."""
POLL_RECORDS = 2_000


class CountedTransition(msgspec.Struct):
    """What the view needs of a transition's body."""

    event: str
    audience: str
    user_id: str
    seq: int
    at: str
    cause: str
    exit_at: str | None


class MemberCounts:
    """Members, enters and exits per audience. A transition that comes again counts once, by its number."""

    def __init__(self, audiences: Iterable[str]) -> None:
        self.members = dict.fromkeys(audiences, 0)
        self.enters: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()
        self.backfilled: Counter[str] = Counter()
        """Enters with the cause ``backfill``: members that an audience found in the history."""
        self.repeated = 0
        self.missing = 0
        """Numbers that were skipped; stays 0, because the numbers of a user and audience have no gap."""
        self.latest: deque[CountedTransition] = deque(maxlen=LATEST)
        self._seq: dict[tuple[str, str], int] = {}

    @property
    def transitions(self) -> int:
        return self.enters.total() + self.exits.total()

    def take(self, transition: CountedTransition) -> None:
        key = (transition.audience, transition.user_id)
        before = self._seq.get(key, 0)
        if transition.seq <= before:
            self.repeated += 1
            return
        self.missing += transition.seq - before - 1
        self._seq[key] = transition.seq
        self.latest.append(transition)
        if transition.event == "enter":
            self.enters[transition.audience] += 1
            self.backfilled[transition.audience] += transition.cause == "backfill"
            self.members[transition.audience] = self.members.get(transition.audience, 0) + 1
        else:
            self.exits[transition.audience] += 1
            self.members[transition.audience] -= 1


class Follower:
    """Reads the transitions topic and counts what it brings."""

    def __init__(self, new_consumer: Callable[[], AIOKafkaConsumer], topic: str, partitions: int) -> None:
        self._new_consumer = new_consumer
        self._partitions = [TopicPartition(topic, each) for each in range(partitions)]
        self._consumer: AIOKafkaConsumer | None = None

    async def run(self, counts: MemberCounts) -> None:
        """Follow the topic until cancelled."""
        async with self._new_consumer() as consumer:
            consumer.assign(self._partitions)
            await consumer.seek_to_beginning(*self._partitions)
            self._consumer = consumer
            while True:
                polled = await consumer.getmany(timeout_ms=200, max_records=POLL_RECORDS)
                for records in polled.values():
                    for record in records:
                        counts.take(_decode(record.value))
                await asyncio.sleep(0)  # else a full buffer would keep the event loop to itself

    async def caught_up(self) -> bool:
        """Everything that is on the topic now is counted."""
        if self._consumer is None:
            return False
        ends = await self._consumer.end_offsets(self._partitions)
        return all([await self._consumer.position(each) >= end for each, end in ends.items()])


_decode = msgspec.json.Decoder(CountedTransition).decode
