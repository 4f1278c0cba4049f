"""Workers that come and go while the log is worked off: partitions move, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.log import make_log
from tests.faults.scene import progress, scene

SEED = 23


@pytest.mark.slow
async def test_workers_come_and_go(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    log = make_log(SEED, records=30_000, users=2_000, partitions=6)
    async with scene(kafka, topic_prefix, tmp_path, partitions=6) as stage:
        await stage.define()
        await stage.load(log)
        first, second, third = (stage.worker(f"w{number}", worker__poll_records=10) for number in (1, 2, 3))
        first.start()
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
        assert not await stage.is_committed(), "the log was too short for this test"
        await stage.finished()
        await stage.assert_right(log)


@pytest.mark.slow
async def test_a_worker_that_was_frozen_writes_nothing_when_it_wakes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED + 1, records=12_000, users=1_000)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        first, second = (stage.worker(f"w{number}", worker__poll_records=10) for number in (1, 2))
        first.start()
        second.start()
        await first.wait_ready()
        await second.wait_ready()
        await progress(stage, 200)
        first.freeze(True)
        await stage.until(second.owns_all(4), "the second worker took over", 60)
        await progress(stage, 3000)
        first.freeze(False)
        # It learns that it is no member any more, and ends before it writes what it had in hand.
        await stage.until_ended(first)
        assert first.logged("MembershipLost")
        first.start()
        await progress(stage, 200)
        # What the changelog holds now must be good for a worker that has nothing else.
        for worker in (first, second):
            worker.kill()
            worker.wipe()
            worker.start()
        await stage.finished()
        await stage.assert_right(log)
