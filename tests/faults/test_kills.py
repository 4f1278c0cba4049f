"""Workers that die: at any instant, again and again, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.faults.log import make_log
from tests.faults.scene import Scene, scene

SEED = 7


async def test_an_undisturbed_worker_gives_what_the_pipeline_gives(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=20_000, users=2_000)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker()
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == 0
        assert len(outcome.bodies) > 10_000
        worker.stop()
        assert await stage.total(stage.transitions) == len(outcome.bodies)


async def kill_again_and_again(stage: Scene, log_transitions: int, kills: int, seed: int) -> None:
    """Kill the worker at random instants that are spread over the run; the last start is left running."""
    random = Random(seed)
    worker = stage.worker(worker__id="w1", worker__poll_records=150)
    for _ in range(kills):
        before = await stage.total(stage.transitions)
        worker.start()
        if random.random() < 0.2:
            # While it starts, joins, restores: whatever it does by then.
            await asyncio.sleep(random.uniform(0.5, 4))
        else:
            some = before + log_transitions / kills * random.uniform(0.1, 1.1)
            await stage.reach(some)
            await asyncio.sleep(random.uniform(0, 0.05))
        worker.check()
        worker.kill()
    worker.start()


@pytest.mark.slow
async def test_twenty_kills_change_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    # A fast worker gets further than asked for before each kill: the log must last for all of them.
    log = make_log(SEED, records=150_000, users=3_000)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        await kill_again_and_again(stage, 25_000, kills=20, seed=SEED)
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats > 0, "no kill hit between an output and the next commit: try another seed"
