"""Lookups over HTTP: right at the instant, from any worker, and honest when there is no answer yet."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.stage.log import view
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

BRIEF = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 6s}}
  - {id: ever, name: Ever, rule: {event: view}}
"""
PROBLEM = {"type", "title", "status", "detail", "instance"}


async def send_views(stage: Scene, users: list[str]) -> int:
    """A view of each user now, each in the user's partition; the record timestamp."""
    now_ms = int(time.time() * 1000)
    for name in users:
        await stage.send(partition_of(name, stage.partitions), [view(name, now_ms)])
    return now_ms


async def test_a_lookup_sees_an_exit_before_it_is_swept(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(BRIEF)
        # The clock of an idle partition stays a minute behind: no exit comes by itself during the test.
        worker = stage.worker(clock__grace_ms=60_000)
        worker.start()
        await worker.wait_ready()
        sent_ms = await send_views(stage, ["ann"])
        await stage.reach(2)
        status, body = await worker.get("/v1/audiences/brief/members/ann")
        assert (status, body["member"]) == (200, True)
        exit_at = datetime.fromisoformat(body["exit_at"]).timestamp()
        assert round(exit_at * 1000) == sent_ms + 6000
        state = (await worker.get("/v1/users/ann"))[1]["state"]
        assert round(datetime.fromisoformat(state["first"]).timestamp() * 1000) == sent_ms

        async def is_out() -> bool:
            asked = time.time()
            found = (await worker.get("/v1/audiences/brief/members/ann"))[1]
            answered = time.time()
            if answered < exit_at:
                assert found["member"] is True
            if asked >= exit_at:
                assert found.pop("at") > found.pop("records_as_of"), "records are told of up to the grace"
                assert found == {"member": False, "since": None, "exit_at": None}
            return asked >= exit_at

        await stage.until(is_out, "the exit's instant")
        status, body = await worker.get("/v1/users/ann/audiences?projekt=shop")
        assert (status, body["hint"]) == (400, "did you mean project?"), (
            "it would be the default project's answer"
        )
        body = (await worker.get("/v1/users/ann/audiences"))[1]
        assert [each["id"] for each in body["audiences"]] == ["ever"]
        assert await stage.total(stage.transitions) == 2, "the exit was swept: the test shows nothing"


async def test_any_worker_answers_for_any_user(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    users = [f"user-{number}" for number in range(40)]
    async with scene(kafka, topic_prefix, tmp_path, partitions=4) as stage:
        await stage.define("audiences: [{id: ever, name: Ever, rule: {event: view}}]")
        first, second = stage.worker("w1"), stage.worker("w2")
        for worker in (first, second):
            worker.start()
        await stage.until(lambda: _share(stage, first, second), "both own partitions")
        await send_views(stage, users)
        await stage.reach(len(users))
        for name in users:
            answers = [await each.get(f"/v1/audiences/ever/members/{name}") for each in (first, second)]
            for status, body in answers:
                assert status == 200, body
                assert body["member"] is True
            assert answers[0][1]["since"] == answers[1][1]["since"]
        status, body = await first.get("/v1/users/nobody/audiences")
        assert (status, body["audiences"]) == (200, [])
        named = [{"user_id": name} for name in ["nobody", *reversed(users)]]
        status, body = await first.post("/v1/lookup", {"users": named, "audiences": ["ever"]})
        assert [(each["status"], each["user_id"]) for each in body["users"]] == [
            ("unknown_user", "nobody"),
            *(("ok", name) for name in reversed(users)),
        ]
        assert all(each["memberships"]["ever"]["member"] for each in body["users"][1:])
        second.freeze(True)
        try:
            asked = {"users": named[1:], "deadline_ms": 2_000}
            statuses = {each["status"] for each in (await first.post("/v1/lookup", asked))[1]["users"]}
            answers = [await first.get(f"/v1/users/{name}/audiences") for name in users[:3]]
        finally:
            second.freeze(False)
        assert statuses == {"ok", "unavailable"}, "a frozen owner costs its own users their answers"
        assert {status for status, _ in answers} <= {200, 503}
        for status, body in answers:
            if status == 503:
                assert body.keys() >= PROBLEM


async def _share(stage: Scene, *workers: Worker) -> bool:
    for worker in workers:
        status, body = await worker.get("/readyz?verbose")
        if status != 200 or len(body["partitions"]) != stage.partitions // len(workers):
            return False
    return True


async def test_problems_are_told_in_the_standard_form(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(BRIEF)
        worker = stage.worker()
        worker.start()
        await stage.until(lambda: _answers(worker, "/livez", 200), "it lives")
        # From here to readiness every answer is an honest one.
        seen: set[int] = set()

        async def is_ready() -> bool:
            seen.add((await worker.get("/readyz"))[0])
            status, body = await worker.get("/v1/users/ann/audiences")
            if status != 200:
                assert status == 503, (status, body)
                assert body.keys() >= PROBLEM
                assert body["status"] == 503
            return 200 in seen and status == 200

        await stage.until(is_ready, "it is ready")
        assert seen <= {503, 200}
        for path, wanted in {"/v1/audiences/breif/members/ann": 404, "/nowhere": 404}.items():
            status, body = await worker.get(path)
            assert (status, body["status"], body["instance"]) == (wanted, wanted, path)
            assert body.keys() >= PROBLEM
        assert "brief" in (await worker.get("/v1/audiences/breif/members/ann"))[1]["hint"]
        assert (await worker.get("/openapi.json"))[0] == 200
        worker.stop()
        assert (await worker.get("/livez"))[0] == 0


async def _answers(worker: Worker, path: str, wanted: int) -> bool:
    return (await worker.get(path))[0] == wanted
