"""Workers on topics that are deleted, made again, emptied or set wrongly, and the commands that mend them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.kafka.placement import partition_of
from agents.topics import create_topics
from tables.store import RocksMemory, RocksStore
from tests.stage.commands import Done, run
from tests.stage.log import Line, view
from tests.stage.scene import Scene
from tests.stage.topics import configure, delete_topics
from tests.stage.workers import Worker, environment

SEEN = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"
THRICE = "audiences: [{id: thrice, name: Thrice, rule: {event: view, count: {gte: 3}}}]"
USERS = [f"u{number}" for number in range(8)]
MIB = 1024 * 1024
SOON = """
import app.worker.topic_watch as watch
from app.main import main
watch.LOOK_SECONDS = watch.SURE_SECONDS = 0.3
main(["worker"])
"""


def command(stage: Scene, *arguments: str, **changed: object) -> Done:
    """A ``turnstile`` command with the settings of the scene's worker."""
    settings = stage.workers[0].settings if stage.workers else stage.worker().settings
    settings = {**settings, **{name.replace("__", "."): value for name, value in changed.items()}}
    return run(*arguments, given=environment(settings))


def one_worker(stage: Scene, **changed: object) -> Worker:
    """One whose group forgets it soon after it ended without a word."""
    return stage.worker(kafka__session_timeout_ms=2000, **changed)


async def send(stage: Scene, times: int) -> None:
    """``times`` views of every user, each at its own partition."""
    lines: list[list[Line]] = [[] for _ in range(stage.partitions)]
    for _ in range(times):
        for user in USERS:
            lines[partition_of(user, stage.partitions)].append(view(user, int(time.time() * 1000)))
    for partition, part in enumerate(lines):
        await stage.send(partition, part)


async def worked(stage: Scene, definitions: str = SEEN, times: int = 1) -> Worker:
    """A worker that has taken views of all users and was stopped in order."""
    await stage.define(definitions)
    await send(stage, times)
    worker = one_worker(stage)
    worker.start()
    await stage.until(stage.is_committed, "all is committed")
    worker.stop()
    return worker


async def remake(stage: Scene, topic: str, partitions: int | None = None, **configs: str) -> None:
    await delete_topics(stage.admin, [topic])
    if partitions is not None:
        await create_topics(stage.admin, {topic: (partitions, configs)}, 1)


async def cut_head(stage: Scene, topic: str, offsets: Mapping[int, int]) -> None:
    """Remove the first records of partitions of a compacted topic, as retention does where it is on."""
    await configure(stage.admin, topic, {"cleanup.policy": "delete"})
    tps = {TopicPartition(topic, each): RecordsToDelete(offset) for each, offset in offsets.items()}
    await stage.admin.delete_records(tps)
    await configure(stage.admin, topic, {"cleanup.policy": "compact"})


async def refused(stage: Scene, worker: Worker) -> str:
    """Start a worker that must not run; what it says."""
    worker.start()
    process = worker.process
    assert process is not None
    await stage.until_ended(worker)
    assert process.returncode == 2, worker.log()
    said = worker.log().split("exit_after_crash")[-1]
    assert "Traceback" not in said, said
    return said


def rows(worker: Worker) -> dict[str, Mapping[bytes, bytes]]:
    """Everything that is in the stores of a worker that doesn't run."""
    found = {}
    for folder in sorted(each for each in worker.data.glob("*-changelog-*") if each.is_dir()):
        store = RocksStore(folder, RocksMemory.of(MIB, MIB))
        found[folder.name] = {**dict(store.scan(b"", 1000)), b"meta": store.meta() or b""}
        store.close()
    return found


async def transitions(stage: Scene) -> list[dict[str, Any]]:
    return [json.loads(each.value) for each in await stage.read(stage.transitions)]
