"""Live traffic beside pushes: how long events take to their transitions, in windows of one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.processes import BenchFailed, Child, read_result
from bench.push.live_reader import READING, SEEN
from bench.worker.reader import PERCENTILES

START_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 3_600
"""The producer is ended before."""
SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """``beside``: what was pushed meanwhile; empty: nothing. Milliseconds by percentile, of the events that
    were due in it (none: nothing), from the instant at which an event was due to its transition's being read.
    """

    beside: str
    seconds: float
    measured: int
    milliseconds: dict[str, float]


class Live:
    """Events at a steady rate for as long as ``running`` lasts; windows are told when it is over."""

    def __init__(
        self, broker: BenchBroker, plan: TopicPlan, partitions: int, rate: int, folder: Path
    ) -> None:
        self._broker = broker
        self._plan = plan
        self._partitions = partitions
        self._rate = rate
        self._folder = folder
        self._bounds: list[tuple[str, int, int]] = []
        self.windows: list[Window] = []

    @contextmanager
    def window(self, beside: str) -> Iterator[None]:
        """What is due within counts."""
        begin_ns = time.monotonic_ns()
        yield
        self._bounds.append((beside, begin_ns, time.monotonic_ns()))

    async def run(
        self,
        seconds: float,
        warm_up: float,
        beside: Callable[[Live], Awaitable[None]],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """A window without a push, then what ``beside`` does. ``settled`` waits until all is decided.

        Raises BenchFailed.
        """
        folder, broker = self._folder, self._broker.bootstrap
        result, topics = folder / "live.json", [self._plan.transitions, str(self._partitions)]
        reading = Child("bench.push.live_reader", [broker, *topics, str(result)], folder / "live.log")
        with reading:
            await _told(reading, READING)
            paced = [str(self._rate), str(LONGEST_SECONDS), "0", str(folder / "paced.json")]
            words = [broker, self._plan.events[0], str(self._partitions), *paced]
            with Child("bench.worker.paced", words, folder / "paced.log") as producing:
                await _told(reading, SEEN)
                await asyncio.sleep(warm_up)
                with self.window(""):
                    await asyncio.sleep(seconds)
                await beside(self)
                await asyncio.sleep(SETTLE_SECONDS)  # events that are due may still have to be sent
                producing.check()
            await settled()
            await asyncio.sleep(SETTLE_SECONDS)
            reading.check()
        found = read_result(result)
        self.windows = [_window(found["due_ns"], found["ages_ms"], *each) for each in self._bounds]


def _window(due_ns: list[int], ages_ms: list[float], beside: str, begin_ns: int, end_ns: int) -> Window:
    ages = sorted(age for due, age in zip(due_ns, ages_ms, strict=True) if begin_ns <= due < end_ns)
    found = {name: ages[int(share * (len(ages) - 1))] for name, share in PERCENTILES.items()} if ages else {}
    return Window(beside, (end_ns - begin_ns) / 1e9, len(ages), found)


async def _told(reading: Child, word: str) -> None:
    """Wait until the reader says it. Raises BenchFailed."""
    deadline = time.monotonic() + START_SECONDS
    while word not in reading.tail():
        reading.check()
        if time.monotonic() > deadline:
            raise BenchFailed(f"the reader of transitions isn't at '{word}': {reading.tail()}")
        await asyncio.sleep(0.05)
