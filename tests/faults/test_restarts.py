"""Workers that stop and start again: in order, without their disk, with a broken one, after an outage."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

import pytest

from tables.store import RocksMemory, RocksStore
from tests.stage.log import AHEAD_MS, TAKES_AHEAD, make_log, view
from tests.stage.scene import progress, scene
from tests.stage.workers import WorkerEnded, spoil

SEED = 11
MIB = 1024 * 1024


async def test_orderly_restarts_repeat_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    log = make_log(SEED, records=20_000, users=1_500, start_ms=AHEAD_MS)
    random = Random(SEED)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        worker = stage.worker(worker__poll_records=100, **TAKES_AHEAD)
        *before, last = log.portions(6)
        for portion in before:
            await stage.load(portion)
            worker.start()
            await progress(stage, random.uniform(300, 1500))
            worker.stop()
        await stage.load(last)
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == 0, "an orderly stop leaves nothing open"


@pytest.mark.parametrize("engine", ["auto", "python"])
async def test_a_lost_disk_comes_back_from_the_changelog(
    kafka: str, topic_prefix: str, tmp_path: Path, engine: str
) -> None:
    log = make_log(SEED + 1, records=12_000, users=1_500, start_ms=AHEAD_MS)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        settings = {"worker__id": "w1", "worker__poll_records": 100, "worker__engine": engine}
        worker = stage.worker(**settings, **TAKES_AHEAD)
        first, second, third = log.portions(3)
        await stage.load(first)
        worker.start()
        await progress(stage, 1500)
        worker.kill()
        worker.wipe()
        await stage.load(second)
        worker.start()
        await progress(stage, 1500)
        worker.kill()
        worker.wipe(partition=2)
        await stage.load(third)
        worker.start()
        await progress(stage, 1500)
        worker.stop()
        worker.wipe()
        worker.start()
        await stage.finished()
        await stage.assert_right(log)
        assert worker.logged("partition_restored")


def flush(folder: Path) -> None:
    """Write what is only in the write-ahead log to a table file."""
    store = RocksStore(folder, RocksMemory.of(MIB, MIB))
    store._db.flush()
    store.close()


async def test_a_broken_disk_is_replaced_from_the_changelog(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED + 2, records=8_000, users=1_000)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker(worker__id="w1", worker__poll_records=100, cache__write_buffer_bytes=MIB)
        worker.start()
        await progress(stage, 3000)
        worker.stop()
        folders = [worker.partition_folder(number) for number in range(stage.partitions)]
        for folder in folders:
            flush(folder)
        # A partition may have had no record yet.
        spoilt = next(each for each in folders if list(each.glob("*.sst")))
        for path in spoilt.glob("*.sst"):
            spoil(path)
        other = next(each for each in folders if each is not spoilt)
        for path in other.glob("MANIFEST-*"):
            path.write_bytes(b"garbage")
        worker.start()
        try:
            await stage.finished()
        except WorkerEnded as error:
            if "StoreBroken" not in str(error):
                raise
            # The damage was met at work, not at the start: who supervises the worker starts it again.
            worker.start()
            await stage.finished()
        await stage.assert_right(log)
        assert worker.log_file.read_text().count("store_broken") == 2


async def test_exits_that_fell_due_in_an_outage_keep_their_own_instants(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    short = "audiences: [{id: brief, name: Brief, rule: {event: view, within: 10s}}]"
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(short)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        sent_ms = {f"u{number}": int(time.time() * 1000) - number for number in range(20)}
        lines = [view(name, at_ms) for name, at_ms in sent_ms.items()]
        await stage.send(0, lines)
        await stage.reach(len(lines))
        worker.kill()
        assert await stage.total(stage.transitions) == len(lines), "an exit came too soon"
        last_due = max(sent_ms.values()) / 1000 + 10
        await stage.until(lambda: time.time() > last_due + 1.5, "the exits fell due")
        worker.start()

        async def all_are_out() -> bool:
            return len((await stage.outcome()).bodies) == 2 * len(lines)  # enters may have come again

        await stage.until(all_are_out, "every exit")
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        exits = {each["user_id"]: each for each in bodies if each["event"] == "exit"}
        enters = {each["user_id"]: each for each in bodies if each["event"] == "enter"}
        assert exits.keys() == sent_ms.keys()
        for name, exit_ in exits.items():
            assert exit_["cause"] == "time"
            assert exit_["at"] == enters[name]["exit_at"]
            assert exit_["entered_at"] == enters[name]["at"]


@pytest.mark.parametrize("end", ["stop", "kill", "lose the disk"])
async def test_the_clock_of_a_partition_survives_a_restart(
    kafka: str, topic_prefix: str, tmp_path: Path, end: str
) -> None:
    """Stamps that go back are applied at the clock, also when the record that moved it came before."""
    # In the future, so that the wall never moves the clock.
    ahead_ms = int(time.time() * 1000) + 3_600_000
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define("audiences: [{id: seen, name: Seen, rule: {event: view}}]")
        worker = stage.worker(worker__id="w1", clock__max_lead_ms=7_200_000)
        worker.start()
        await stage.send(0, [view("ann", ahead_ms)])
        await stage.until(stage.is_committed, "the first record is committed")
        if end == "stop":
            worker.stop()
        else:
            worker.kill()
        if end == "lose the disk":
            worker.wipe()
        await stage.send(0, [view("bob", ahead_ms - 60_000)])
        worker.start()

        async def both_are_in() -> bool:
            return len((await stage.outcome()).bodies) == 2  # ann's may have been sent again

        await stage.until(both_are_in, "both transitions")
        ann, bob = (json.loads(each) for each in (await stage.outcome()).bodies.values())
        assert (ann["user_id"], bob["user_id"]) == ("ann", "bob")
        assert bob["at"] == ann["at"]
