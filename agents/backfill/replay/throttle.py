"""Live first: how much of a worker a computation of the past may take now."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SLICE_SECONDS: Final = 0.005
"""A computation gives the event loop back after about so long when nothing is live."""
LIVE_SLICE_SECONDS: Final = 0.001
"""Likewise, beside live records: a commit cycle comes back to the event loop dozens of times, and each time
it may have to wait for a slice."""
MOST_LAG_RECORDS: Final = 10_000
"""With so many live records not read yet a computation waits."""
LIVE_SECONDS: Final = 0.005
"""How soon it looks again when live records wait in the worker: they are gone in some milliseconds."""
LOOK_SECONDS: Final = 0.002
"""What was seen holds for so long: many partitions would look thousands of times a second."""
PAUSE_SECONDS: Final = 0.2
"""How soon it looks again otherwise."""
LEAST_FREE_SHARE: Final = 0.05
"""So much of a disk stays free, for the rows and for others."""
DISK_SECONDS: Final = 2.0
"""How often the disk is looked at."""


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """The settings ``backfill``."""

    cpu_share: float = 0.25
    """Of a core, while live records come; 0 < share <= 1. Without live records a computation takes all."""
    bytes_per_second: int | None = None
    """Read from Kafka; None: any number."""
    max_disk_bytes: int = 20 * 1024**3
    """Of all scratch stores of the worker."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a decision rests on."""

    is_rebalancing: bool = False
    waiting: int = 0
    """Live records in the worker that are not computed yet."""
    lag: int = 0
    """Live records that are not read yet, in all partitions of the worker."""
    is_live: bool = False
    """Live records came within the last second."""
    scratch_bytes: int = 0
    """Of all scratch stores of the worker."""
    free_bytes: int = 1 << 62
    """Of the disk they lie on."""
    disk_bytes: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much a computation may take: ``share`` of a core; 0: it waits, because of ``reason``."""

    share: float
    reason: str = ""
    look_again_seconds: float = PAUSE_SECONDS
    """Of one that waits."""


def verdict(limits: ReplayLimits, seen: Seen) -> Verdict:
    """Pure. The reason is for people; one that changes every some milliseconds is none."""
    if seen.is_rebalancing:
        return Verdict(0.0, "partitions are moving")
    if seen.scratch_bytes > limits.max_disk_bytes:
        used, allowed = seen.scratch_bytes >> 20, limits.max_disk_bytes >> 20
        text = f"its scratch stores have {used} MiB; backfill.max_disk_bytes allows {allowed} MiB"
        return Verdict(0.0, text)
    if seen.free_bytes < LEAST_FREE_SHARE * seen.disk_bytes:
        return Verdict(0.0, f"the disk is nearly full: {seen.free_bytes >> 20} MiB are free")
    if seen.lag > MOST_LAG_RECORDS:
        return Verdict(0.0, f"live records come first, and {seen.lag} of them are not read yet")
    if seen.waiting:
        return Verdict(0.0, look_again_seconds=LIVE_SECONDS)
    return Verdict(limits.cpu_share if seen.is_live else 1.0)


class Throttle:
    """The pace of all computations of one worker together. ``look`` tells what there is to see now.

    A computation calls ``wait``, works for about ``slice_seconds``, and says with ``note`` what it did.
    """

    def __init__(
        self,
        limits: ReplayLimits,
        look: Callable[[], Seen],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._look = look
        self._now = now
        self._free_at = 0.0
        """Until then what was done already fills the share and the rate."""
        self._seen = Seen()
        self._seen_at = -LOOK_SECONDS
        self.slice_seconds = LIVE_SLICE_SECONDS
        self.reason = ""
        """Why computations wait now; empty: they don't."""

    def note(self, worked_seconds: float, read_bytes: int) -> None:
        """A computation did something."""
        share = verdict(self._limits, self._looked()).share or self._limits.cpu_share
        rest = worked_seconds * (1 / share - 1)
        if self._limits.bytes_per_second is not None:
            rest = max(rest, read_bytes / self._limits.bytes_per_second - worked_seconds)
        self._free_at = max(self._free_at, self._now()) + rest

    async def wait(self, waits: Callable[[str], None] = lambda _: None) -> None:
        """Until a computation may go on; the event loop gets its turn at least once.

        ``waits`` is told why it waits, again and again.
        """
        await asyncio.sleep(0)
        while True:
            seen = self._looked()
            found = verdict(self._limits, seen)
            self.reason = found.reason
            self.slice_seconds = LIVE_SLICE_SECONDS if seen.is_live else SLICE_SECONDS
            if found.share:
                rest = self._free_at - self._now()
                if rest <= 0:
                    return
                await asyncio.sleep(min(rest, PAUSE_SECONDS))
            else:
                waits(found.reason)
                await asyncio.sleep(found.look_again_seconds)

    def _looked(self) -> Seen:
        if self._now() - self._seen_at >= LOOK_SECONDS:
            self._seen, self._seen_at = self._look(), self._now()
        return self._seen


class ScratchDisk:
    """What the scratch stores in a directory take, and what is left of the disk; looked at now and then."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._now = now
        self._looked_at = -DISK_SECONDS
        self._found = (0, 1 << 62, 1 << 62)

    def look(self) -> tuple[int, int, int]:
        """Bytes of all scratch stores, bytes free, bytes of the disk."""
        if self._now() - self._looked_at >= DISK_SECONDS:
            self._looked_at = self._now()
            self._found = _look(self._directory)
        return self._found


def _look(directory: Path) -> tuple[int, int, int]:
    used = 0
    for path in directory.rglob("*"):
        try:
            used += path.stat().st_size
        except FileNotFoundError:  # RocksDB took it away meanwhile
            continue
    parent = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    usage = shutil.disk_usage(parent)
    return used, usage.free, usage.total
