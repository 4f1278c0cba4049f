"""Topics deleted, made again, emptied or set wrongly: the worker stops and says why and what mends it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.kafka.placement import partition_of
from agents.topics import create_topics, existing
from agents.topics.make import set_configs
from agents.topics.noted import changed_records
from app.kafka.embedded import start_tied
from tables.codec import CHECKPOINT_KEY, record_print
from tables.refused import Refused
from tables.store import RocksMemory, RocksStore, Write
from tests.stage.log import Line, view
from tests.stage.scene import KEPT, Scene, scene
from tests.stage.workers import COMMAND, Worker, environment

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


@pytest.fixture
async def stage(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as made:
        yield made


def command(stage: Scene, *arguments: str, **changed: object) -> subprocess.CompletedProcess[str]:
    """A ``turnstile`` command with the settings of the scene's worker."""
    settings = stage.workers[0].settings if stage.workers else stage.worker().settings
    settings = {**settings, **{name.replace("__", "."): value for name, value in changed.items()}}
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
    await stage.admin.delete_topics([topic])

    async def is_gone() -> bool:
        return topic not in await existing(stage.admin)

    await stage.until(is_gone, f"{topic} is gone")
    if partitions is not None:
        await create_topics(stage.admin, {topic: (partitions, configs)}, 1)


async def cut_head(stage: Scene, topic: str, offsets: Mapping[int, int]) -> None:
    """Remove the first records of partitions of a compacted topic, as retention does where it is on."""
    await set_configs(stage.admin, topic, {"cleanup.policy": "delete"})
    tps = {TopicPartition(topic, each): RecordsToDelete(offset) for each, offset in offsets.items()}
    await stage.admin.delete_records(tps)
    await set_configs(stage.admin, topic, {"cleanup.policy": "compact"})


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


async def test_a_source_made_again_and_longer_stops_the_start_until_it_is_accepted(stage: Scene) -> None:
    worker = await worked(stage, THRICE, times=2)
    before = rows(worker)
    await remake(stage, stage.events, stage.partitions, **KEPT)
    await send(stage, times=3)
    said = await refused(stage, worker)
    assert f"{stage.events} was deleted and made again" in said
    assert f"turnstile topics accept {stage.events}" in said
    assert rows(worker) == before
    assert command(stage, "topics", "check").returncode == 1
    accepted = command(stage, "topics", "accept", stage.events)
    assert accepted.returncode == 0, accepted.stderr
    worker.start()
    await stage.finished()
    worker.stop()
    assert {each["user_id"] for each in await transitions(stage)} == set(USERS)
    again = command(stage, "topics", "accept", stage.events)
    assert "nothing to accept" in again.stdout
    assert command(stage, "topics", "check").returncode == 0


async def test_records_of_a_source_made_again_that_come_by_another_partition_count_too(stage: Scene) -> None:
    await stage.define(THRICE)
    wrong = 1 - partition_of("ann", 2)
    await stage.send(wrong, [view("ann", int(time.time() * 1000)) for _ in range(2)])
    worker = one_worker(stage)
    worker.start()
    await stage.until(stage.is_committed, "all is committed")
    await stage.until(lambda: stage.is_past(stage.repartition, 2), "they are repartitioned")
    await stage.until(stage.is_committed, "all is committed")
    worker.stop()
    await remake(stage, stage.events, stage.partitions, **KEPT)
    await stage.send(wrong, [view("ann", int(time.time() * 1000))])
    assert command(stage, "topics", "accept", stage.events).returncode == 0
    worker.start()
    await stage.reach(1)
    worker.stop()


@pytest.mark.parametrize("topic", ["events", "changelog"])
async def test_a_topic_deleted_under_a_worker_stops_it(stage: Scene, topic: str) -> None:
    await stage.define(SEEN)
    await send(stage, 1)
    worker = stage.worker()
    worker.process = start_tied([sys.executable, "-c", SOON], worker.log_file, environment(worker.settings))
    process = worker.process
    await worker.wait_ready()
    await stage.until(stage.is_committed, "all is committed")
    name = {"changelog": stage.changelog}.get(topic, f"{stage.prefix}.{topic}")
    await remake(stage, name, None if topic == "events" else 2)
    await stage.until_ended(worker)
    assert process.returncode == 2, worker.log()
    said = worker.log().split("exit_after_crash")[-1]
    assert name in said
    assert "turnstile topics" in said
    assert "Traceback" not in said


def refuse(worker: Worker, offset: int) -> bytes:
    """Have a store note that the record at this offset was refused; the note's key."""
    folder = next(each for each in sorted(worker.data.glob("*-changelog-*")) if each.is_dir())
    ((key, note),) = Refused().add(1, [offset])
    store = RocksStore(folder, RocksMemory.of(MIB, MIB))
    store.write(Write(notes=[(key, note)]))
    store.close()
    return key


async def test_a_changelog_made_again_is_refused_and_rebuilt_from_the_rows(stage: Scene) -> None:
    worker = await worked(stage)
    note = refuse(worker, 10_000)
    before = rows(worker)
    first = await transitions(stage)
    await remake(stage, stage.changelog)
    checked = command(stage, "topics", "check")
    assert f"wrong: {stage.changelog} does not exist, but there are rows of it" in checked.stdout
    assert "turnstile topics rebuild-changelog" in checked.stdout
    said = await refused(stage, worker)
    assert f"{stage.changelog} does not exist, but there are rows of it" in said
    assert stage.changelog not in await existing(stage.admin)
    await create_topics(stage.admin, {stage.changelog: (2, {})}, 1)
    said = await refused(stage, worker)
    assert f"{stage.changelog} has cleanup.policy 'delete'; it must be 'compact'" in said
    assert "`turnstile topics apply` mends it" in said
    applied = command(stage, "topics", "apply", "--yes")
    assert f"set   {stage.changelog}" in applied.stdout, applied.stdout
    said = await refused(stage, worker)
    assert f"{stage.changelog}/0 was deleted and made again" in said
    assert "turnstile topics rebuild-changelog" in said
    assert rows(worker) == before
    rebuilt = command(stage, "topics", "rebuild-changelog")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert note in [each.key for each in await stage.read(stage.changelog)]
    assert command(stage, "topics", "rebuild-changelog").returncode == 1, "once is enough"
    worker.wipe()  # the changelog alone must do now
    await send(stage, 1)
    worker.start()
    await stage.finished()
    for user in USERS:
        assert (await worker.get(f"/v1/users/{user}/audiences"))[1]["audiences"], user
    worker.stop()
    assert await transitions(stage) == first


async def test_rows_behind_what_was_committed_are_caught_up_after_a_rebuild(stage: Scene) -> None:
    """A killed worker leaves a store that is behind: what it lacks is read once more."""
    worker = await worked(stage, THRICE)
    worker.start()
    await worker.wait_ready()
    await send(stage, 1)
    await stage.until(stage.is_committed, "all is committed")
    worker.kill()
    await remake(stage, stage.changelog, 2, **{"cleanup.policy": "compact"})
    await send(stage, 1)
    rebuilt = command(stage, "topics", "rebuild-changelog")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    worker.start()
    await stage.finished()
    worker.stop()
    assert sorted(each["user_id"] for each in await transitions(stage)) == USERS


async def test_a_lost_changelog_is_noticed_without_a_disk(stage: Scene) -> None:
    worker = await worked(stage)
    worker.wipe()
    await remake(stage, stage.changelog, 2, **{"cleanup.policy": "compact"})
    checked = command(stage, "topics", "check")
    assert checked.returncode == 1
    assert f"wrong: {stage.changelog}/0 holds nothing of the partition" in checked.stdout
    said = await refused(stage, worker)
    assert f"{stage.changelog} holds nothing of the partition, but the consumer group" in said
    assert f"has taken {stage.events}/0 up to offset" in said


async def test_a_changelog_whose_head_is_gone_is_refused_to_those_who_need_it(stage: Scene) -> None:
    worker = await worked(stage)
    await cut_head(stage, stage.changelog, {0: 2, 1: 2})
    worker.start()  # it has the rows
    await worker.wait_ready()
    worker.stop()
    kept = worker.data.rename(worker.data.with_name("kept"))
    said = await refused(stage, worker)
    assert f"{stage.changelog}/0 begins at offset 2" in said
    checked = command(stage, "topics", "check")
    assert checked.returncode == 1
    assert f"wrong: {stage.changelog}/0 begins at offset 2" in checked.stdout
    worker.wipe()
    kept.rename(worker.data)
    assert command(stage, "topics", "rebuild-changelog").returncode == 0
    assert command(stage, "topics", "check").returncode == 0
    worker.wipe()
    worker.start()
    await worker.wait_ready()
    for user in USERS:
        assert (await worker.get(f"/v1/users/{user}/audiences"))[1]["audiences"], user
    worker.stop()
    await stage.grow(stage.changelog, 3)
    assert "was written with 2 partitions and now has 3" in command(stage, "topics", "check").stdout


async def test_definitions_that_are_lost_stop_the_start_and_publishing(stage: Scene, tmp_path: Path) -> None:
    two = SEEN[:-1] + ", {id: twice, name: Twice, rule: {event: view, count: {gte: 2}}}]"
    await stage.define(two, version=4)
    worker = await worked(stage, two)
    topic = f"{stage.prefix}.audiences"
    end = (await stage.ends(topic))[TopicPartition(topic, 0)]
    await cut_head(stage, topic, {0: end - 1})
    said = await refused(stage, worker)
    assert f"{topic} holds 1 definitions, but at least 2 were known" in said
    await remake(stage, topic)
    said = await refused(stage, worker)
    assert f"{topic} does not exist any more" in said
    assert topic not in await existing(stage.admin), "a worker made it, and nobody would notice"
    (tmp_path / "seen.yaml").write_text(SEEN)
    published = command(stage, "audiences", "apply", str(tmp_path / "seen.yaml"))
    assert published.returncode == 2
    assert f"turnstile topics accept {topic}" in published.stderr
    await create_topics(stage.admin, {topic: (1, {"cleanup.policy": "compact"})}, 1)
    assert command(stage, "topics", "accept", topic).returncode == 0
    published = command(stage, "audiences", "apply", str(tmp_path / "seen.yaml"))
    assert "version 5" in published.stdout, published.stdout + published.stderr
    worker.start()
    await stage.finished()
    for user in USERS:
        assert (await worker.get(f"/v1/users/{user}/audiences"))[1]["audiences"], user
    worker.stop()
    assert all(each["event"] == "enter" for each in await transitions(stage))


async def test_a_mistyped_source_makes_nothing(stage: Scene) -> None:
    worker = stage.worker(topics__create=False, topics__events=stage.events[:-1], topics__prefix="other")
    said = await refused(stage, worker)
    assert f"topics.events names '{stage.events[:-1]}', which does not exist" in said
    assert f"did you mean '{stage.events}'?" in said
    made = await existing(stage.admin)
    assert not {name for name in made if name.startswith(("other.", f"{stage.events[:-1]}."))}
    assert stage.changelog not in made
    deliverer = command(stage, "deliver")
    assert deliverer.returncode == 2
    assert f"did you mean '{stage.events}'?" in deliverer.stderr


async def test_a_setting_that_loses_data_stops_a_worker_and_an_unwise_one_warns(stage: Scene) -> None:
    await set_configs(stage.admin, stage.repartition, {"retention.ms": "1000000"})
    await stage.define(SEEN)
    worker = stage.worker()
    worker.process = start_tied([sys.executable, "-c", SOON], worker.log_file, environment(worker.settings))
    process = worker.process
    await worker.wait_ready()
    body = (await worker.get("/readyz?verbose"))[1]
    assert [(each["code"], each["place"]) for each in body["warnings"]] == [
        ("topic_settings", stage.repartition)
    ]
    await set_configs(stage.admin, stage.transitions, {"cleanup.policy": "compact"})
    await stage.until_ended(worker)
    assert process.returncode == 2
    said = worker.log()
    assert f"{stage.transitions} has cleanup.policy 'compact'; it must be 'delete'" in said
    checked = command(stage, "topics", "check")
    assert checked.returncode == 1
    assert f"wrong: {stage.transitions} has cleanup.policy 'compact'" in checked.stdout
    assert f"unwise: {stage.repartition} has retention.ms 1000000" in checked.stdout
    assert command(stage, "topics", "apply", "--yes").returncode == 0
    assert "0 wrong, 0 unwise" in command(stage, "topics", "check").stdout


async def test_without_topic_ids_the_last_record_taken_is_read_once_more(stage: Scene) -> None:
    at_ms = int(time.time() * 1000)
    await stage.send(0, [view(user, at_ms) for user in USERS])
    tp = TopicPartition(stage.events, 0)
    (_, *_, last) = await stage.read(stage.events)
    known = record_print(last.timestamp, last.key, last.value)
    for taken, is_changed in (
        ((last.offset, known), False),
        ((last.offset, known ^ 1), True),
        ((last.offset - 1, known), True),
        ((last.offset + 1, None), True),
    ):
        found = await changed_records(stage.consumer, {tp: taken}, [stage.events])
        assert (tp in found) is is_changed, taken
    await stage.admin.delete_records({tp: RecordsToDelete(before_offset=last.offset + 1)})
    assert not await changed_records(stage.consumer, {tp: (last.offset, 0)}, [stage.events])
    assert last.key != CHECKPOINT_KEY
