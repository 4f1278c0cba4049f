"""Workers that die: at any instant, again and again, and nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from aiokafka.structs import ConsumerRecord

from agents.evaluate.transitions import encode_transition
from rules.state.row import Transition
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY, decode_checkpoint
from tests.stage.log import AHEAD_MS, TAKES_AHEAD, Log, make_log
from tests.stage.scene import Scene, progress, scene

SEED = 7
KILLS = 3
"""At least, and more until one hit where something must be sent again."""


@pytest.mark.parametrize("engine", ["auto", "python"])
async def test_an_undisturbed_worker_gives_what_the_pipeline_gives(
    kafka: str, topic_prefix: str, tmp_path: Path, engine: str
) -> None:
    log = make_log(SEED, records=12_000, users=1_500)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker(worker__engine=engine)
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == 0
        assert len(outcome.bodies) > 6_000
        worker.stop()
        assert await stage.total(stage.transitions) == len(outcome.bodies)


async def kill_again_and_again(stage: Scene, portions: list[Log], seed: int) -> None:
    """Kill the worker at a random instant of each portion; the last start is left running."""
    random = Random(seed)
    worker = stage.worker(worker__id="w1", worker__poll_records=150, **TAKES_AHEAD)
    for portion in portions:
        await stage.load(portion)
        worker.start()
        if random.random() < 0.2:
            # While it starts, joins, restores: whatever it does by then.
            await asyncio.sleep(random.uniform(0.5, 4))
        else:
            await progress(stage, portion.size / 2 * random.uniform(0.05, 0.9))
            await asyncio.sleep(random.uniform(0, 0.05))
        worker.check()
        worker.kill()
    worker.start()


@pytest.mark.slow
async def test_twenty_kills_change_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    log = make_log(SEED, records=60_000, users=3_000, start_ms=AHEAD_MS)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await kill_again_and_again(stage, log.portions(20), seed=SEED)
        await stage.finished()
        outcome = await stage.assert_right(log)
        print(f"{outcome.repeats} of {len(outcome.bodies)} transitions came again after 20 kills")
        assert outcome.repeats > 0, "no kill hit between an output and the next commit: try another seed"


async def test_a_kill_sends_again_what_was_in_flight_and_nothing_else(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=60_000, users=2_000, start_ms=AHEAD_MS)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        worker = stage.worker(worker__id="w1", worker__poll_records=500, **TAKES_AHEAD)
        in_flight = expected = 0
        for kill, portion in enumerate(log.portions(6)):
            await stage.load(portion)
            if kill >= KILLS and expected:
                continue
            worker.start()
            await progress(stage, 2_000)
            worker.kill()
            sent = {json.loads(each.value)["id"] for each in await stage.read(stage.transitions)}
            expected = 0  # of the last kill alone: a next one may come before all is sent again
            for records in (await stage.changelogs()).values():
                unsent = open_round(records)
                in_flight += len(unsent)
                expected += len(sent & {id_of(each) for each in unsent})
            print(f"kill {kill}: {len(sent)} sent, {in_flight} were in flight, {expected} are sent")
        assert expected, "no kill hit between an output and the next commit"
        worker.start()
        await stage.finished()
        repeats = (await stage.outcome()).repeats
        assert expected <= repeats <= in_flight

        async def is_known() -> bool:
            return not sum(map(len, map(open_round, (await stage.changelogs()).values())))

        await stage.until(is_known, "all is acknowledged, and known to be")
        worker.kill()
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == repeats, "a worker that was killed while it was idle sent something again"


def id_of(transition: Transition) -> str:
    value, _ = encode_transition(transition)
    found: str = json.loads(value)["id"]
    return found


def open_round(records: Sequence[ConsumerRecord]) -> list[Transition]:
    """The transitions that recovery sends again: those of one commit cycle, never of the one before."""
    reader = ChangelogReader()
    reader.read(records)
    checkpoints = [decode_checkpoint(each.value) for each in records if each.key == CHECKPOINT_KEY]
    acked = checkpoints[-1].acked_step
    assert {each.acked_step for each in checkpoints if each.step > acked} <= {acked}
    return reader.unsent()
