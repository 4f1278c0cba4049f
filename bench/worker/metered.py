"""What processes use from their first applied records to their last committed offset."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import admin_client, committed
from bench.machine import Usage, usage
from bench.processes import BenchFailed, Child

POLL_SECONDS = 0.05
STALL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one kind. CPU times are microseconds an event, of all its processes. Those of the second
    half leave out what is slow at the beginning, such as a JVM that still compiles."""

    kind: str
    events: int
    seconds: float
    rate: float
    cpu_us: float
    broker_cpu_us: float | None
    peak_rss_bytes: int
    second_half_cpu_us: float | None = None
    transitions: int | None = None
    repeated_transitions: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """``topic``: where the records come from; ``group``: who commits what was done with them."""

    kind: str
    group: str
    topic: str
    events: int


class Meter:
    """``broker``: whose CPU time is told apart."""

    def __init__(self, broker: BenchBroker) -> None:
        self._broker = broker

    async def watch(
        self, what: Watched, children: Sequence[Child], progress: Callable[[], Awaitable[list[int]]]
    ) -> Measured:
        """From the first look at which each child had applied records until the last offset is committed.

        ``progress``: how many records each has applied. Raises BenchFailed when a child ends or stands.
        """
        seen = await self._begun(children, what.events, progress)
        began, first, broker_first = time.monotonic(), used(children), self.broker_usage()
        half: tuple[int, Usage] | None = None
        moved, done = began, 0
        async with admin_client(self._broker.bootstrap) as admin:
            while done < what.events:
                _check(children)
                await asyncio.sleep(POLL_SECONDS)
                now_done = await committed(admin, what.group, what.topic)
                if now_done != done:
                    done, moved = now_done, time.monotonic()
                    if half is None and what.events / 2 <= done < what.events:
                        half = done, used(children)
                elif time.monotonic() - moved > STALL_SECONDS:
                    tails = "\n".join(child.tail() for child in children)
                    raise BenchFailed(f"{what.kind} stands at {done} of {what.events}: {tails}")
        ended, last = time.monotonic(), used(children)
        counted = what.events - seen
        if counted <= 0:
            raise BenchFailed(
                f"{what.events} events are too few: all were applied when the measuring was to begin"
            )
        return Measured(
            kind=what.kind,
            events=what.events,
            seconds=ended - began,
            rate=counted / (ended - began),
            cpu_us=_cpu_us(first, last, counted),
            broker_cpu_us=self.broker_us(broker_first, counted),
            peak_rss_bytes=last.peak_bytes,
            second_half_cpu_us=None if half is None else _cpu_us(half[1], last, what.events - half[0]),
        )

    async def _begun(
        self, children: Sequence[Child], events: int, progress: Callable[[], Awaitable[list[int]]]
    ) -> int:
        """How many records are applied when each child has begun."""
        applied = [0]
        while not all(applied) and sum(applied) < events:
            _check(children)
            await asyncio.sleep(POLL_SECONDS / 5)
            applied = await progress()
        return sum(applied)

    def broker_usage(self) -> Usage | None:
        return None if self._broker.pid is None else usage(self._broker.pid)

    def broker_us(self, before: Usage | None, events: int) -> float | None:
        """The broker's CPU time since then, in microseconds an event."""
        after = self.broker_usage()
        return None if before is None or after is None else _cpu_us(before, after, events)


def used(children: Sequence[Child]) -> Usage:
    """By all of them together. Raises BenchFailed when one is gone."""
    sums = Usage(0.0, 0, 0)
    for child in children:
        found = usage(child.pid)
        if found is None:
            child.check()
            raise BenchFailed(f"{child.module} is gone")
        sums = Usage(
            sums.cpu_seconds + found.cpu_seconds,
            sums.rss_bytes + found.rss_bytes,
            sums.peak_bytes + found.peak_bytes,
        )
    return sums


def _check(children: Sequence[Child]) -> None:
    for child in children:
        child.check()


def _cpu_us(before: Usage, after: Usage, events: int) -> float:
    return (after.cpu_seconds - before.cpu_seconds) * 1e6 / events
