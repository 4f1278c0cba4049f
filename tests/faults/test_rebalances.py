"""Workers that come and go while the log is worked off: partitions move, and nothing else does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agents.kafka.placement import partition_of
from tests.stage.log import AHEAD_MS, TAKES_AHEAD, Line, make_log, view
from tests.stage.scene import progress, scene

SEED = 23
SLICE = 30
SEEN = "{id: seen, name: Seen, rule: {event: view}}"


@pytest.mark.slow
async def test_workers_come_and_go(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    # Written bit by bit for as long as it takes. Idle clocks follow the wall, so the log lies ahead of it.
    log = make_log(SEED, records=150_000, users=2_000, partitions=6, minutes=600, bad=0, start_ms=AHEAD_MS)
    over = asyncio.Event()

    async def write() -> int:
        written = 0
        while not over.is_set():
            slices = (part[written : written + SLICE] for part in log.parts)
            await asyncio.gather(*(stage.send(at, lines) for at, lines in enumerate(slices)))
            written += SLICE
            await asyncio.sleep(0.1)
        return written

    async with scene(kafka, topic_prefix, tmp_path, partitions=6) as stage:
        await stage.define()
        first, second, third = (
            stage.worker(f"w{number}", worker__poll_records=10, **TAKES_AHEAD) for number in (1, 2, 3)
        )
        first.start()
        writing = asyncio.create_task(write())
        await progress(stage, 500)
        second.start()
        third.start()
        await second.wait_ready()
        await third.wait_ready()
        await progress(stage, 500)
        second.kill()
        await progress(stage, 500)
        third.stop()
        await progress(stage, 500)
        second.start()
        await second.wait_ready()
        await progress(stage, 500)
        first.kill()
        third.start()
        await third.wait_ready()
        await progress(stage, 500)
        over.set()
        written = await writing
        assert written < min(map(len, log.parts)), "the log was too short for this test"
        log.parts = [part[:written] for part in log.parts]
        await stage.finished()
        await stage.assert_right(log)


@pytest.mark.slow
async def test_records_that_come_while_partitions_move_are_not_passed_over(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    users = [f"user-{number}" for number in range(3_000)]
    async with scene(kafka, topic_prefix, tmp_path, partitions=6) as stage:
        await stage.define(SEEN)
        first, second = (stage.worker(f"w{number}") for number in (1, 2))
        first.start()
        await first.wait_ready()
        second.start()
        await stage.until(lambda: first.logged("rebalancing"), "the group begins to rebalance")
        # A poll is under way on every partition, and none has a committed offset to go back to.
        for start in range(0, len(users), SLICE):
            lines: list[list[Line]] = [[] for _ in range(stage.partitions)]
            for user_id in users[start : start + SLICE]:
                lines[partition_of(user_id, stage.partitions)].append(view(user_id, int(time.time() * 1000)))
            await asyncio.gather(*(stage.send(at, part) for at, part in enumerate(lines) if part))
        await second.wait_ready()
        await stage.until(stage.is_committed, "every source offset is committed")
        outcome = await stage.outcome()
        entered = {user_id for _, user_id, _ in outcome.last_seq}
        missing = set(users) - entered
        assert not missing, f"{len(missing)} users were passed over: {sorted(missing)[:5]}"


@pytest.mark.slow
async def test_a_worker_that_was_frozen_writes_nothing_when_it_wakes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED + 1, records=30_000, users=1_000, start_ms=AHEAD_MS)
    before, frozen, after = log.portions(3)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(before)
        first, second = (
            stage.worker(f"w{number}", worker__poll_records=10, **TAKES_AHEAD) for number in (1, 2)
        )
        first.start()
        second.start()
        await first.wait_ready()
        await second.wait_ready()
        await progress(stage, 200)
        first.freeze(True)
        await stage.until(second.owns_all(4), "the second worker took over", 60)
        await stage.load(frozen)
        await progress(stage, 3000)
        first.freeze(False)
        # It learns that it is no member any more, and ends before it writes what it had in hand.
        await stage.until_ended(first)
        assert first.logged("MembershipLost")
        first.start()
        await stage.load(after)
        await progress(stage, 200)
        # What the changelog holds now must be good for a worker that has nothing else.
        for worker in (first, second):
            worker.kill()
            worker.wipe()
            worker.start()
        await stage.finished()
        await stage.assert_right(log)
