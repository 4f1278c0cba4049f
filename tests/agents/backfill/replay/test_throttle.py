"""Live first: when a computation of the past waits, and how much it takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agents.backfill.replay.throttle import ReplayLimits, ScratchDisk, Seen, Throttle, verdict

GIB = 1024**3
LIMITS = ReplayLimits(cpu_share=0.4, max_disk_bytes=GIB)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(is_rebalancing=True), "partitions are moving"),
        (
            Seen(scratch_bytes=2 * GIB),
            "its scratch stores have 2048 MiB; backfill.max_disk_bytes allows 1024 MiB",
        ),
        (Seen(free_bytes=GIB, disk_bytes=100 * GIB), "the disk is nearly full: 1024 MiB are free"),
        (Seen(lag=10_001), "live records come first, and 10001 of them are not read yet"),
        (Seen(waiting=1), ""),
    ],
)
def test_a_computation_waits(seen: Seen, reason: str) -> None:
    found = verdict(LIMITS, seen)
    assert (found.share, found.reason) == (0, reason)


def test_it_takes_its_share_beside_live_records_and_everything_without() -> None:
    assert verdict(LIMITS, Seen(is_live=True)).share == 0.4
    assert verdict(LIMITS, Seen(lag=10_000, scratch_bytes=GIB)).share == 1


async def worked(throttle: Throttle, slices: int, seconds: float, read_bytes: int = 0) -> float:
    """How long so many slices take; each computes for so long."""
    begun = time.perf_counter()
    for _ in range(slices):
        await throttle.wait()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        throttle.note(seconds, read_bytes)
    await throttle.wait()
    return time.perf_counter() - begun


async def test_the_share_is_kept_by_several_computations_together() -> None:
    throttle = Throttle(LIMITS, lambda: Seen(is_live=True))
    begun = time.perf_counter()
    await asyncio.gather(*(worked(throttle, 5, 0.004) for _ in range(2)))
    assert time.perf_counter() - begun >= 10 * 0.004 / 0.4 * 0.98


async def test_the_rate_of_bytes_is_kept() -> None:
    throttle = Throttle(ReplayLimits(bytes_per_second=1_000_000), Seen)
    assert await worked(throttle, 5, 0.001, 40_000) >= 0.2


async def test_a_computation_goes_on_when_the_live_records_are_done_and_says_why_it_waits() -> None:
    seen = [Seen(lag=20_000), Seen(waiting=5), Seen()]
    reasons: list[str] = []

    def look() -> Seen:
        reasons.append(throttle.reason)
        return seen.pop(0) if len(seen) > 1 else seen[0]

    throttle = Throttle(LIMITS, look)
    await throttle.wait()
    assert [bool(each) for each in reasons] == [False, True, False]
    assert throttle.reason == ""


def test_the_disk_is_looked_at_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    disk = ScratchDisk(tmp_path / "scratch", lambda: now[0])
    used, free, total = disk.look()
    assert used == 0
    assert 0 < free < total
    (tmp_path / "scratch" / "p0").mkdir(parents=True)
    (tmp_path / "scratch" / "p0" / "file").write_bytes(b"x" * 10_000)
    assert disk.look()[0] == 0
    now[0] = 2.0
    assert 10_000 <= disk.look()[0] < 20_000
