"""An audience that is published on a running system has the members that it would have had all along."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

QUIET = "audiences: [{id: quiet, name: Quiet, rule: {not: {event: checkout_done, within: 30d}}}]"
OFTEN = "audiences: [{id: often, name: Often, rule: {event: view, count: {gte: %d}}}]"
USERS = 60


def lines(at_ms: int, event: str, users: range, times: int = 1) -> list[Line]:
    return [
        Line(at_ms, f"u{user}".encode(), json.dumps({"user_id": f"u{user}", "event": event}).encode())
        for _ in range(times)
        for user in users
    ]


async def is_ready(stage: Scene, worker: Worker, audience: str) -> None:
    async def ready() -> bool:
        status, _ = await worker.get(f"/v1/audiences/{audience}/members/u1")
        return status == 200 and await worker.is_quiet()

    await stage.until(ready, f"{audience} is ready", 60)


async def members(worker: Worker, audience: str) -> set[int]:
    return {
        user
        for user in range(USERS)
        if (await worker.get(f"/v1/audiences/{audience}/members/u{user}"))[1]["member"]
    }


async def test_who_bought_seconds_ago_is_not_taken_in(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 5_000
        await stage.send(0, lines(now, "view", range(USERS)) + lines(now + 10, "checkout_done", range(0, 30)))
        await stage.finished()

        await stage.define(QUIET)
        await is_ready(stage, worker, "quiet")
        assert await members(worker, "quiet") == set(range(30, USERS))
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert {(each["user_id"], each["event"], each["cause"]) for each in bodies} == {
            (f"u{user}", "enter", "backfill") for user in range(30, USERS)
        }
        assert {each["entered_at"] for each in bodies} == {min(each["entered_at"] for each in bodies)}


async def test_an_edit_emits_the_difference_and_the_way_back_too(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(OFTEN % 3)
        worker = stage.worker(worker__id="w1", audiences__max_change=1000)
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 5_000
        await stage.send(0, lines(now, "view", range(0, 40), 3) + lines(now + 10, "view", range(0, 25)))
        await stage.finished()
        assert await members(worker, "often") == set(range(40))

        await stage.define(OFTEN % 4, version=2)
        await stage.reach(40 + 15)
        assert await members(worker, "often") == set(range(25))
        await stage.define(OFTEN % 3, version=3)
        await stage.reach(40 + 15 + 15)
        assert await members(worker, "often") == set(range(40))
        worker.kill()
        worker.start()
        await stage.finished()
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert sorted((each["event"], each["cause"]) for each in bodies) == sorted(
            [("enter", "event")] * 40 + [("exit", "definition")] * 15 + [("enter", "definition")] * 15
        )


async def test_what_is_deleted_while_the_past_of_another_is_computed_stays_deleted(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        one, other = (f"{{id: {each}, name: {each}, rule: {{event: view}}}}" for each in ("seen", "gone"))
        both = f"audiences: [{one}, {other}]"
        await stage.define(both)
        worker = stage.worker(backfill__bytes_per_second=65_536)  # the computation takes seconds
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 5_000
        await stage.send(0, lines(now, "view", range(USERS), 150))
        await stage.finished()
        await stage.define(QUIET)

        async def computes() -> bool:
            status, body = await worker.get("/v1/audiences/quiet/members/u1")
            return status == 409 and re.search(r"replaying, [1-9]\d?%", body["detail"]) is not None

        await stage.until(computes, "the past of quiet is computed", 30)
        await stage.define(both, version=2, deleted=["gone"])
        await stage.reach(3 * USERS)
        assert (await worker.get("/v1/audiences/quiet/members/u1"))[0] == 409, "it should still be computing"
        await is_ready(stage, worker, "quiet")
        assert (await worker.get("/v1/audiences/gone/members/u1"))[0] == 404
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        gone = [(each["event"], each["cause"]) for each in bodies if each["audience"] == "gone"]
        assert sorted(gone) == [("enter", "event")] * USERS + [("exit", "definition")] * USERS
        assert sum(each["audience"] == "quiet" for each in bodies) == USERS


async def test_an_edit_that_asks_for_no_history_is_held_before_it_throws_everybody_out(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        none = OFTEN.replace("rule:", "backfill: {history: none}, rule:")
        await stage.define(none % 3)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 5_000
        await stage.send(0, lines(now, "view", range(USERS), 5))
        await stage.finished()

        async def has_moved() -> bool:
            return (await worker.clocks()).get(0, 0) * 1000 > now

        await stage.until(has_moved, "the clock is past the records", 30)
        await stage.define(none % 4, version=2)

        async def is_held() -> bool:
            status, body = await worker.get("/v1/audiences/often")
            return bool(status == 200 and body["state"] == "held")

        await stage.until(is_held, "the edit is held", 30)
        assert await members(worker, "often") == set(range(USERS))
        assert await stage.total(stage.transitions) == USERS


async def test_an_audience_that_asked_for_no_history_stays_as_it_is_when_others_come_with_all_of_it(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    def audiences(*kinds: str) -> str:
        lines = [f"  - {{id: {each}, name: {each}, rule: {{event: view}}{BACKFILL[each]}}}" for each in kinds]
        return "\n".join(["audiences:", *lines])

    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 5_000
        await stage.send(0, lines(now, "view", range(USERS)))
        await stage.finished()
        await stage.define(audiences("none"))
        await is_ready(stage, worker, "none")
        await stage.define(audiences("none", "whole"))
        await is_ready(stage, worker, "whole")
        await stage.define(audiences("none", "whole", "later"))
        await is_ready(stage, worker, "later")
        assert await members(worker, "whole") == set(range(USERS))
        assert await members(worker, "none") == await members(worker, "later") == set()
        await stage.send(0, lines(int(time.time() * 1000), "view", range(7)))
        await stage.finished()
        assert await members(worker, "none") == await members(worker, "later") == set(range(7))


BACKFILL = {"none": ", backfill: {history: none}", "later": ", backfill: {history: none}", "whole": ""}
