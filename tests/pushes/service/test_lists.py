"""Pushes of audiences whose members come and go: each list is who was in at its instant, and there once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agents.pushes.runs import Request
from tests.pushes.service.stage import DEFINITIONS, USERS, PushStage, now_ms, send_views
from tests.stage.scene import scene

RUNS = 3


async def test_every_list_is_who_was_in_at_its_instant_while_users_come_and_go(
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
        try:
            async with pushes.serving():
                await pushes.apply(pushes.push("brief", "brief"))
                runs = [await pushes.run_of("brief")]
                for number in range(1, RUNS):
                    await pushes.ask(Request(f"r{number}", "run", "default", "brief", now_ms()))
                    runs.append(await pushes.run_of("brief", number))
                await pushes.apply(pushes.push("many", "ever", "max_ids: 5"))
                many = await pushes.run_of("many")
                await pushes.apply(pushes.push("nobody", "nowhere"))
                nobody = await pushes.run_of("nobody")
        finally:
            is_over.set()
            await sending
        await stage.finished()
        lists = await pushes.lists()
        assert {each.list_id for each in runs} == set(lists)
        for run in runs:
            assert run.state == "delivered", run
            assert run.instant_ms is not None
            users = lists[run.list_id]
            assert sorted(users) == sorted(await pushes.members_at("brief", run.instant_ms))
            assert run.rows == run.members == run.by_id["user_id"] == len(users)
        assert any(0 < each.members < len(USERS) for each in runs), runs
        assert (many.state, many.code) == ("failed", "too_many_ids")
        assert "ids, and this push takes fewer than 5" in many.reason
        assert (nobody.state, nobody.code) == ("failed", "audience_missing")
