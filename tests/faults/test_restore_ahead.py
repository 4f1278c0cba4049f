"""Processes that restore ahead leave what the worker's own reading leaves, also when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka.structs import ConsumerRecord
from structlog.testing import capture_logs

from agents.evaluate.steps import Limits
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.restore import restorer as restore
from agents.restore.ahead import Job, restore_ahead, shares
from agents.restore.restorer import Restorer
from agents.topics.written import WrittenTopics
from rules.state.row import Transition
from tables.changelog.reader import ChangelogReader
from tables.store import RocksMemory, Timer
from tests.stage.log import make_log
from tests.stage.scene import Scene, scene

EVER = 1 << 61


def test_the_partitions_with_most_to_read_are_dealt_first() -> None:
    assert shares({0: 10, 1: 70, 2: 30, 3: 30}, 2) == [[1], [2, 3, 0]]
    assert shares({0: 5, 1: 1}, 16) == [[0], [1]]
    assert len(shares(dict.fromkeys(range(64), 1), 64)) == 4


async def test_a_wiped_disk_gets_the_same_rows_from_other_processes_as_from_the_workers_own_reading(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "RECORDS", 1)
    monkeypatch.setattr(restore, "cores", lambda: 2)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await _die_at_work(stage)
        broker = Broker(kafka)
        alone = await _restored(stage, broker, tmp_path / "alone", None)
        assert sum(map(len, alone.rows)) > 500
        assert alone.pending, "nothing was open when the worker died: nothing would be sent again"

        lots: list[list[int]] = []

        async def noted(job: Job, given: list[list[int]], restored: Callable[[int], None]) -> None:
            lots[:] = given
            await restore_ahead(job, given, restored)

        monkeypatch.setattr(restore, "restore_ahead", noted)
        with capture_logs() as logs:
            ahead = await _restored(stage, broker, tmp_path / "ahead", broker)
        assert not [each for each in logs if each["event"] == "restore_ahead_failed"]
        assert len(lots) == 2
        assert ahead == alone

        with capture_logs() as logs:
            lost = await _restored(stage, broker, tmp_path / "lost", replace(broker, bootstrap="127.0.0.1:1"))
        assert len([each for each in logs if each["event"] == "restore_ahead_failed"]) == 2
        assert lost == alone

        async def interrupted(job: Job, given: list[list[int]], restored: Callable[[int], None]) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(restore, "restore_ahead", interrupted)
        with pytest.raises(asyncio.CancelledError):
            await _restored(stage, broker, tmp_path / "interrupted", broker)


@dataclass(frozen=True)
class _Found:
    pending: list[Transition]
    rows: list[list[tuple[bytes, bytes]]]
    due: list[list[Timer]]
    checkpoints: list[bytes]


async def _die_at_work(stage: Scene) -> None:
    """Kill a worker while transitions are open; once more with more records if it had just sent them all."""
    await stage.define()
    worker = stage.worker(worker__poll_records=150)
    for seed in range(3, 9):
        await stage.load(make_log(seed, records=20_000, users=2_000))
        before = await stage.total(stage.changelog) if seed > 3 else 0
        worker.start()

        async def begun(before: int = before) -> bool:
            # Not the note of its first cut alone, and the checkpoints around that.
            ends = (await stage.ends(stage.changelog)).values()
            return min(ends) > 50 and sum(ends) > before + 200

        await stage.until(begun, "rows of every partition", at_once=True)
        worker.kill()
        if any(map(_is_open, (await stage.changelogs()).values())):
            return


def _is_open(records: list[ConsumerRecord]) -> bool:
    reader = ChangelogReader()
    reader.read(records)
    return bool(reader.unsent())


async def _restored(stage: Scene, broker: Broker, folder: Path, theirs: Broker | None) -> _Found:
    """``theirs`` is the broker of the processes that restore ahead; None: there are none."""
    topics = WrittenTopics(
        stage.changelog, stage.transitions, stage.repartition, stage.partitions, stage.partitions
    )
    restorer = Restorer(
        lambda: new_consumer(broker),
        folder,
        RocksMemory.of(1 << 20, 8 << 20),
        topics,
        Limits(),
        1000,
        None if theirs is None else Job(theirs, topics, str(folder), 2 << 20, 16 << 20),
    )
    pipelines, pending = await restorer.open(set(range(stage.partitions)))
    stores = [pipelines[each].profiles.store for each in sorted(pipelines)]
    rows = [store.scan(b"", 10_000) for store in stores]
    due = [store.timers(-EVER, EVER, 100_000) for store in stores]
    ends = [pipelines[each].checkpoint_now() for each in sorted(pipelines)]
    for store in stores:
        store.close()
    return _Found(pending, rows, due, ends)
