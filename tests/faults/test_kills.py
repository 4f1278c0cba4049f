"""Workers that die: at any instant, again and again, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from aiokafka.structs import ConsumerRecord

from rules.state.row import Transition
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY, decode_checkpoint
from tests.stage.log import make_log
from tests.stage.scene import Scene, progress, scene

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
        print(f"{outcome.repeats} of {len(outcome.bodies)} transitions came again after 20 kills")
        assert outcome.repeats > 0, "no kill hit between an output and the next commit: try another seed"


async def test_a_kill_sends_again_what_was_in_flight_and_nothing_else(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=60_000, users=2_000)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker(worker__poll_records=500)
        in_flight = repeats = 0
        for kill in range(3):
            worker.start()
            await progress(stage, 2_000)
            worker.kill()
            sent = {json.loads(each.value)["id"] for each in await stage.read(stage.transitions)}
            before = await stage.total(stage.transitions)
            for records in (await stage.changelogs()).values():
                in_flight += len(open_round(records))
            print(f"kill {kill}: {len(sent)} sent, {before - len(sent)} of them again, {in_flight} in flight")
        worker.start()
        await stage.finished()
        repeats = (await stage.outcome()).repeats
        print(f"{repeats} came again, {in_flight} were in flight")
        assert 0 < repeats <= in_flight
        # All is acknowledged, and after a moment it is known to be.
        await asyncio.sleep(0.5)
        worker.kill()
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == repeats, "a worker that was killed while it was idle sent something again"


def open_round(records: Sequence[ConsumerRecord]) -> list[Transition]:
    """The transitions that recovery sends again: those of one commit cycle, never of the one before."""
    reader = ChangelogReader()
    reader.read(records)
    checkpoints = [decode_checkpoint(each.value) for each in records if each.key == CHECKPOINT_KEY]
    acked = checkpoints[-1].acked_step
    assert {each.acked_step for each in checkpoints if each.step > acked} <= {acked}
    return reader.unsent()
