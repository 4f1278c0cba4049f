"""Changelogs that were lost, made again or cut: refused to those who need them, and rebuilt from the rows."""

from __future__ import annotations

from agents.topics import create_topics, existing
from tables.refused import Refused
from tables.store import RocksMemory, RocksStore, Write
from tests.faults.topics.lab import (
    MIB,
    THRICE,
    USERS,
    command,
    cut_head,
    refused,
    remake,
    rows,
    send,
    transitions,
    worked,
)
from tests.stage.scene import Scene
from tests.stage.workers import Worker


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
