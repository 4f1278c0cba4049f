"""One partition's past, computed beside its live stream: the history goes into a shadow until that stands
where the live stream stands.

It runs in the worker's event loop, a few milliseconds at a time, when the live stream leaves some
(``agents.backfill.replay.throttle``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from agents.backfill.history.history import History
from agents.backfill.replay.skip import Sieve, Taken
from agents.backfill.replay.throttle import Throttle
from agents.evaluate.steps import Record

log = structlog.get_logger("turnstile.backfill")

NEAR_RECORDS: Final = 2_000
"""So far behind the live stream the rest can be taken in one turn, if it is taken within ``NEAR_SECONDS``."""
NEAR_SECONDS: Final = 0.05
LEVEL_SECONDS: Final = 0.05
"""How often it is asked whether it stands where the live stream stood."""
LEAST_RUN, MOST_RUN = 20, 2_000
"""Records taken before the clock is looked at: as many as fill a slice, from this to that."""
LEAST_FETCH: Final = 200
"""Records made of fetched bytes at a time."""
USERS: Final = 100
"""Whose timers are fired before the clock is looked at."""
RECORD_SECONDS: Final = 3e-6
"""What the client takes to make a record of fetched bytes, besides what is measured."""
TELL_SECONDS: Final = 0.5
FLUSH_SECONDS: Final = 5.0
"""A restart reads again what came since the last flush."""
RETRY_SECONDS: Final = 1.0


class Replayed(Protocol):
    """The shadow that the history goes into (``agents.evaluate.shadow``)."""

    @property
    def stream_time_ms(self) -> int: ...
    @property
    def overdue(self) -> bool: ...
    def take(self, records: Sequence[Record]) -> None: ...
    def skip(self, topic: str, partition: int, last_offset: int, timestamp_ms: int) -> None: ...
    def position_of(self, topic: str, partition: int) -> int: ...
    def reach(self, stream_time_ms: int) -> None: ...
    def fire(self, to_ms: int, limit: int) -> None:
        """Move stream time and fire the timers that it passed, for at most ``limit`` users."""
        ...

    def flush(self) -> None: ...


class Live(Protocol):
    """Where the live stream of the partition stands now."""

    @property
    def stream_time_ms(self) -> int: ...
    def ends(self) -> Mapping[TopicPartition, int]:
        """The offset after the last record taken of each source partition; 0: none was."""
        ...


class NotNear(Exception):
    """``finish`` was called although ``can_finish`` says no: a bug."""


Tell = Callable[[int, int, str], None]
"""(records done, records in all, why it waits)."""


class Replayer:
    """Computes one shadow. ``refuses`` tells whether the live stream refused records of a source partition
    for their timestamps: then none is passed by unread, because those move no stream time.
    """

    def __init__(
        self,
        shadow: Replayed,
        history: History,
        sieve: Sieve,
        throttle: Throttle,
        live: Live,
        tell: Tell,
        refuses: Callable[[str, int], bool] = lambda _, __: False,
    ) -> None:
        self.shadow = shadow
        self.history = history
        self._sieve = sieve
        self._throttle = throttle
        self._live = live
        self._tell = tell
        self._refuses = refuses
        self._told_at = self._flushed_at = 0.0
        self._most = 100
        self._seconds_a_record = 0.0
        self.is_near = asyncio.Event()
        """Set while it follows the live stream closely: ``can_finish`` is worth asking."""

    async def run(self) -> None:
        """Read the history, then follow the live stream until cancelled.

        Raises HistoryLost when it can't be computed any more.
        """
        try:
            while True:
                try:
                    await self._follow()
                except KafkaError as error:
                    log.warning("history_unread", error=repr(error))
                    self._tell(self.history.done, self.history.total, f"Kafka does not answer: {error!r}")
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self.is_near.clear()
            await self.history.close()

    async def wait_level(self) -> None:
        """Wait until it has taken everything that the live stream has taken by now."""
        ends = self._live.ends()
        while not self.history.has_taken(ends):
            await asyncio.sleep(LEVEL_SECONDS)

    def can_finish(self) -> bool:
        """Whether ``finish`` could be called now, and would be over soon."""
        return self._is_near() and self.history.has_fetched_to(self._live.ends())

    def finish(self) -> None:
        """Take everything that the live stream has taken, and its stream time. Within the live task's turn:
        the two then agree until its next step. Raises NotNear."""
        history = self.history
        history.extend(self._live.ends())
        while not history.is_at_end:
            run = history.next_run(NEAR_RECORDS)
            if not run:
                raise NotNear(f"{history.remaining} records are not fetched")
            self._take(run)
        self.shadow.reach(self._live.stream_time_ms)

    async def _follow(self) -> None:
        history, shadow = self.history, self.shadow
        while True:
            await self._throttle.wait(self._waits)
            begun, read_bytes, records = time.perf_counter(), 0, 0
            history.extend(self._live.ends())
            while time.perf_counter() - begun < self._throttle.slice_seconds:
                run = history.next_run(self._most)
                if run:
                    self._take_timed(run)
                    records += len(run)
                    read_bytes += sum(len(each.value) for each in run if each.value)
                if shadow.overdue:
                    shadow.fire(shadow.stream_time_ms, USERS)
                elif not run:
                    break
            is_idle = history.is_at_end and not shadow.overdue
            if is_idle:
                is_idle = not self._follow_clock()
            self._flush_and_tell(begun)
            worked = time.perf_counter() - begun
            self._throttle.note(worked + records * RECORD_SECONDS, read_bytes)
            (self.is_near.set if self._is_near() else self.is_near.clear)()
            if history.must_fetch or is_idle:
                await history.fetch(most_records=self._to_fetch)

    def _follow_clock(self) -> bool:
        """Where it stands just where the live stream does: follow its clock. Whether more is to be done."""
        live, shadow = self._live, self.shadow
        if self.history.behind(live.ends()) or shadow.stream_time_ms >= live.stream_time_ms:
            return False
        shadow.fire(live.stream_time_ms, USERS)
        return shadow.overdue

    @property
    def _to_fetch(self) -> int:
        """Making records of fetched bytes takes time, too."""
        return max(LEAST_FETCH, int(self._throttle.slice_seconds / RECORD_SECONDS))

    def _is_near(self) -> bool:
        records = self.history.remaining + self.history.behind(self._live.ends())
        is_soon_over = records * self._seconds_a_record <= NEAR_SECONDS
        return records <= NEAR_RECORDS and is_soon_over and not self.shadow.overdue

    def _take_timed(self, run: Sequence[Record]) -> None:
        """Take a run, and let the next one be as long as fits."""
        begun = time.perf_counter()
        self._take(run)
        seconds = time.perf_counter() - begun
        self._seconds_a_record += (seconds / len(run) - self._seconds_a_record) / 16
        fitting = int(self._throttle.slice_seconds / max(1e-9, self._seconds_a_record))
        self._most = max(LEAST_RUN, min(MOST_RUN, fitting))

    def _waits(self, reason: str) -> None:
        now = time.perf_counter()
        if reason and now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self._tell(self.history.done, self.history.total, reason)

    def _take(self, run: Sequence[Record]) -> None:
        first = run[0]
        if self._refuses(first.topic, first.partition):
            self.shadow.take(run)
            return
        for part in self._sieve.sift(run):
            if isinstance(part, Taken):
                self.shadow.take(part.records)
            else:
                self.shadow.skip(part.topic, part.partition, part.last_offset, part.timestamp_ms)

    def _flush_and_tell(self, now: float) -> None:
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = now
            self.shadow.flush()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self._tell(self.history.done, self.history.total, self._throttle.reason)
