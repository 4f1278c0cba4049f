"""Partitions that are held at one instant: each store stays as the first step behind it left it.

A partition is *past* the instant when a checkpoint says so, or when its sources are known to hold nothing
that comes before it (``agents.follow.source_ends``). Then no record is taken until the hold is over; the
changelog is read on from there. Nobody asks the stores of a process of pushes for anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.follow.followed import Followed
from agents.follow.replicas import Replica
from agents.pushes.snapshot.undone import InstantPassed, Undone
from tables.changelog.format import is_row
from tables.codec import CHECKPOINT_KEY, Checkpoint, decode_checkpoint, decode_head

LOOK_SECONDS = 0.05


class Hold:
    """The gate of a follower, for one list at a time."""

    def __init__(self) -> None:
        self._undone: dict[int, Undone] = {}
        """By partition; empty: nothing is held."""
        self._shut: set[int] = set()
        self._passed: InstantPassed | None = None
        self._steps: dict[int, OpenStep] = {}

    # -- the follower's gate ---------------------------------------------------------------------------

    def admit(self, followed: Followed, records: Sequence[Any]) -> int:
        count = self._admitted(followed, records)
        self._steps.setdefault(followed.partition, OpenStep()).take(records[:count])
        return count

    def _admitted(self, followed: Followed, records: Sequence[Any]) -> int:
        undone = self._undone.get(followed.partition)
        if undone is None:
            return len(records)
        if followed.partition in self._shut:
            return 0
        count = len(records)
        for at, record in enumerate(records):
            if _is_behind(record, undone.instant_ms):
                count = at + 1
                self._shut.add(followed.partition)
                break
        try:
            undone.take(records[:count], followed.reading.store.get_many)
        except InstantPassed as passed:
            self._passed = passed
        return count

    def is_shut(self, partition: int) -> bool:
        return partition in self._shut

    # -- one list --------------------------------------------------------------------------------------

    def begin(self, project: str, audience: str, instant_ms: int, partitions: Iterable[int]) -> None:
        """From now on what comes after the instant is noted. All partitions are at it or before it."""
        self.end()
        self._undone = {each: Undone(project, audience, instant_ms) for each in partitions}

    def end(self) -> None:
        """All partitions go on."""
        self._undone = {}
        self._shut = set()
        self._passed = None

    def least_ms(self) -> int:
        """No instant before this one can be chosen now: rows of steps that aren't read to their ends are
        later."""
        return max((each.latest_ms() for each in self._steps.values()), default=0)

    def undone(self, partition: int) -> Undone:
        """Of a partition that is held."""
        return self._undone[partition]

    @property
    def waits_for(self) -> list[int]:
        """Partitions that aren't past the instant yet."""
        return sorted(self._undone.keys() - self._shut)

    async def all_past(self, replicas: Mapping[int, Replica]) -> None:
        """Wait until all partitions are held. Raises InstantPassed."""
        while True:
            for partition in self.waits_for:
                replica = replicas.get(partition)
                instant_ms = self._undone[partition].instant_ms
                if replica is not None and replica.stands and replica.as_of_ms > instant_ms:
                    self._shut.add(partition)
            if self._passed is not None:
                raise self._passed
            if not self.waits_for:
                return
            await asyncio.sleep(LOOK_SECONDS)


class OpenStep:
    """The rows of one partition that no checkpoint behind them covers yet."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []

    def take(self, records: Sequence[Any]) -> None:
        """Records in order, as they are taken."""
        for record in records:
            if record.value is None:
                continue
            if is_row(record.key):
                self._rows.append(record.value)
            elif record.key == CHECKPOINT_KEY and self._rows:
                self._cover(decode_checkpoint(record.value))

    def latest_ms(self) -> int:
        """The instant of the latest of them; 0: there are none."""
        return max((decode_head(each).now_ms for each in self._rows), default=0)

    def _cover(self, checkpoint: Checkpoint) -> None:
        """Of a step that a crash cut short some rows may be later than the checkpoint that comes next."""
        stream_time_ms = checkpoint.stream_time_ms
        self._rows = [each for each in self._rows if decode_head(each).now_ms > stream_time_ms]


def _is_behind(record: Any, instant_ms: int) -> bool:
    """Whether a record says that its partition is past an instant."""
    if record.key != CHECKPOINT_KEY or record.value is None:
        return False
    return decode_checkpoint(record.value).stream_time_ms > instant_ms
