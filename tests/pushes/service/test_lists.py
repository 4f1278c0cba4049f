"""Pushes of audiences whose members come and go: each list is who was in at its instant, and there once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from agents.pushes.runs import Request, Run
from agents.pushes.targets.confirmation import confirmation_token
from tests.pushes.service.stage import CONFIRMATION_SECRET, DEFINITIONS, USERS, PushStage, now_ms, send_views
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
            async with pushes.serving() as service:
                await pushes.apply(pushes.push("brief", "brief"))
                runs = [await pushes.run_of("brief")]
                for number in range(1, RUNS):
                    await pushes.ask(Request(f"r{number}", "run", "default", "brief", now_ms()))
                    runs.append(await pushes.run_of("brief", number))
                runs.append(await over_http(pushes, service.url, runs[0], runs[1]))
                async with pushes.serving("second") as second:
                    await stage.until(lambda: not second.not_ready(), "another one follows")
                    await stage.until(lambda: service.leads != second.leads, "one of them leads")
                    service.stop()
                    await stage.until(lambda: second.leads, "the other one leads")
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


async def over_http(pushes: PushStage, url: str, first: Run, second: Run) -> Run:
    """A push that was run already is shown, confirmed, run once more; the run that came of that.

    ``second`` is confirmed by its reader's token.
    """
    async with aiohttp.ClientSession(url) as session:

        async def asked(method: str, path: str, **given: Any) -> tuple[int, Any]:
            async with session.request(method, path, **given) as answer:
                is_json = "json" in answer.content_type
                return answer.status, await (answer.json(content_type=None) if is_json else answer.text())

        status, body = await asked("GET", "/v1/pushes")
        assert (status, [each["name"] for each in body["pushes"]]) == (200, ["brief"])
        wrong = {"name": "brief", "audience": "brief", "connection": "lost"}
        status, body = await asked("PUT", "/v1/pushes/brief", json=wrong)
        assert (status, "no connection 'lost'" in body["detail"]) == (422, True)
        async with session.get("/v1/pushes/brief") as answer:
            etag, definition = answer.headers["ETag"], (await answer.json())["definition"]
        for method in ("PUT", "DELETE"):
            headers = {"If-Match": '"70"'}
            status, _ = await asked(method, "/v1/pushes/brief", json=definition, headers=headers)
            assert status == 412
        headers = {"If-Match": etag}
        status, body = await asked("PUT", "/v1/pushes/brief", json=definition, headers=headers)
        assert (status, body["action"]) == (200, "unchanged")
        confirm = f"/v1/push-runs/{first.id}:confirm"
        assert (await asked("POST", confirm, json={"list": "another"}))[0] == 409
        assert (await asked("POST", confirm, json={"list": first.list_id}))[0] == 202
        assert (await asked("POST", f"/v1/push-runs/{first.id}:cancel"))[0] == 409

        of_second = f"/v1/push-confirmations/{second.id}/{second.list_id}"
        token = confirmation_token(CONFIRMATION_SECRET, second.id, second.list_id)
        for wrong_token in ("", confirmation_token(CONFIRMATION_SECRET, first.id, first.list_id)):
            headers = {"Authorization": f"Bearer {wrong_token}"}
            assert (await asked("POST", of_second, headers=headers))[0] == 401
        assert (await asked("POST", of_second, headers={"Authorization": f"bearer {token}"}))[0] == 202

        async def are_confirmed() -> bool:
            told = [await asked("GET", f"/v1/push-runs/{each.id}") for each in (first, second)]
            return [body["state"] for _, body in told] == ["confirmed"] * 2

        await pushes.stage.until(are_confirmed, "the runs are confirmed")
        status, body = await asked("POST", f"/v1/push-runs/{first.id}:repush")
        assert status == 202
        run = await pushes.run_of("brief", RUNS)
        assert (run.id, run.of) == (body["run"], first.id)
        _, text = await asked("GET", "/metrics")
        assert 'turnstile_push_last_good_seconds{connection="own",project="default",push="brief"}' in text
        assert (await asked("GET", "/v1/push-runs?push=nobody"))[1] == {"runs": [], "next": None}
        whole = [each["id"] for each in (await asked("GET", "/v1/push-runs?limit=1000"))[1]["runs"]]
        page: dict[str, Any] = {"next": None}
        paged: list[str] = []
        while not paged or page["next"] is not None:
            after = f"&after={page['next']}" if paged else ""
            page = (await asked("GET", f"/v1/push-runs?limit=2{after}"))[1]
            paged += [each["id"] for each in page["runs"]]
        assert (paged, len(set(paged))) == (whole, len(whole))
        for wrong_page in ("after=1-2", "limit=0", "limit=1001"):
            assert (await asked("GET", f"/v1/push-runs?{wrong_page}"))[0] == 400
        assert (await asked("POST", confirm, json={"list": first.list_id, "by": "me"}))[0] == 400
        return run
