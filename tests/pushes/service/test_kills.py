"""kill -9 at every point of a run, with and without the disk: at the end there is exactly one list."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

from tests.pushes.service.stage import DEFINITIONS, USERS, PushStage, environ_of, send_views
from tests.stage.forks import Forked, start_forked
from tests.stage.scene import scene
from tests.stage.workers import environment

KILLS = [
    ("snapshot", False),
    ("spooled", False),
    ("sending", False),
    ("committed", False),
    ("sending", True),
    ("committed", True),
]
"""After which call (``killed.POINTS``), and whether the lists on the disk are lost, too."""
NEW_LIST = {("snapshot", False), ("sending", True)}


def start(pushes: PushStage, log: Path, *point: str) -> Forked:
    arguments = ["-m", "tests.pushes.service.killed", "alone", *point]
    return start_forked(arguments, log, environment(environ_of(pushes.stage, pushes.folder)))


async def test_kills_at_every_point_leave_exactly_one_list(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(DEFINITIONS)
        worker = stage.worker()
        worker.start()
        pushes = PushStage(stage, tmp_path / "pushes")
        await pushes.prepare()
        await worker.wait_ready()
        is_over = asyncio.Event()
        sending = asyncio.create_task(send_views(stage, is_over, USERS))
        log = tmp_path / "push.log"
        runs = {}
        process: Forked | None = None
        try:
            names = [f"p{number}" for number in range(len(KILLS))]
            process = start(pushes, log, KILLS[0][0], names[0])
            for number, (name, (_, is_wiped)) in enumerate(zip(names, KILLS, strict=True)):
                await pushes.apply(pushes.push(name, "brief"))
                killed = process
                await stage.until(lambda killed=killed: killed.poll() is not None, f"{name} is killed")
                assert killed.returncode == -signal.SIGKILL, log.read_text()
                if is_wiped:
                    shutil.rmtree(pushes.folder / "lists")
                following = number + 1
                arguments = (KILLS[following][0], names[following]) if following < len(KILLS) else ()
                process = start(pushes, log, *arguments)
                runs[name] = await pushes.run_of(name)
        finally:
            is_over.set()
            await sending
            if process is not None:
                process.kill()
                process.wait()
        await stage.finished()
        lists = await pushes.lists()
        for kill, (name, run) in zip(KILLS, runs.items(), strict=True):
            assert run.state == "delivered", (kill, run)
            assert [each for each in lists if each.startswith(run.id)] == [run.list_id], (kill, name)
            assert run.lists == (2 if kill in NEW_LIST else 1), (kill, run.told)
            assert run.instant_ms is not None
            expected = await pushes.members_at("brief", run.instant_ms)
            assert sorted(lists[run.list_id]) == sorted(expected), kill
            assert run.rows == len(expected)
        assert len(lists) == len(KILLS)
