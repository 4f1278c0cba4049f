"""``POST /v1/lookup`` on workers: the same answers with either engine, from any worker, as of an instant."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.backfill.progress.progress import Progress, state_of
from agents.evaluate.native.engine import Engine
from agents.kafka.placement import partition_of
from tests.app.worker.partitions import PARTITIONS, USERS, Lab, T, lab
from tests.core.engines import is_built, native_engine
from tests.stage.compare import rules_of

AT = "2023-11-14T22:13:20.000Z"
ENGINES = [
    pytest.param(Engine, id="python"),
    pytest.param(native_engine, id="native", marks=pytest.mark.skipif(not is_built(), reason="make core")),
]


def users(*names: str) -> list[dict[str, str]]:
    return [{"user_id": each} for each in names]


async def asked(made: Lab, body: dict[str, Any], worker: int = 0) -> list[dict[str, Any]]:
    status, answer, _ = await made.post("/v1/lookup", body, worker)
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["users"]
    return found


@pytest.mark.parametrize("engine", ENGINES)
async def test_each_user_is_told_as_the_single_lookups_do(engine: Any) -> None:
    async with lab(engine=engine()) as made:
        made.view(USERS)
        made.now_ms = T + 4_000
        named = ["viewers", "brief", "idle"]
        for worker in (0, 1):
            found = await asked(made, {"users": users("nobody", *USERS), "audiences": named}, worker)
            assert [each["user_id"] for each in found] == ["nobody", *USERS]
            assert found[0] == {
                "status": "unknown_user",
                "user_id": "nobody",
                "memberships": {},
                "as_of": "2023-11-14T22:13:24.000Z",
            }
            for each in found[1:7]:
                for audience in named:
                    path = f"/v1/audiences/{audience}/members/{each['user_id']}"
                    _, one, _ = await made.get(path, worker)
                    assert one.pop("at") == each["as_of"]
                    assert one == each["memberships"][audience]
            everything = await asked(made, {"users": users(*USERS)}, worker)
            assert [set(each["memberships"]) for each in everything] == [{"viewers", "brief"}] * len(USERS)


@pytest.mark.parametrize("engine", ENGINES)
async def test_timers_that_are_due_are_decided_when_a_user_is_looked_up(engine: Any) -> None:
    async with lab(engine=engine()) as made:
        made.view(USERS[:4])
        for now_ms, expected in ((T + 9_999, {"viewers", "brief"}), (T + 10_000, {"viewers", "idle"})):
            made.now_ms = now_ms
            found = await asked(made, {"users": users(*USERS[:4])})
            assert [set(each["memberships"]) for each in found] == [expected] * 4
        made.now_ms = T
        assert set((await asked(made, {"users": users(USERS[0])}))[0]["memberships"]) == {"viewers", "brief"}


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_not_ready_or_not_there_is_told_for_its_users_alone(engine: Any) -> None:
    async with lab(engine=engine()) as made:
        made.view(USERS)
        made.state = state_of({0: Progress("replaying")}, 1)
        made.publish(
            rules_of(
                "audiences: [{id: viewers, name: V, rule: {event: view}}, "
                "{id: new, name: N, rule: {event: buy}}]"
            )
        )
        made.assign({0: 0, 1: 1, 2: 0})
        body = {"users": users(*USERS), "audiences": ["viewers", "new"]}
        status, answer, headers = await made.post("/v1/lookup", body)
        assert (status, headers["Retry-After"]) == (200, "1")
        for name, each in zip(USERS, answer["users"], strict=True):
            gone = partition_of(name, PARTITIONS) == 3
            assert each["status"] == ("unavailable" if gone else "not_ready")
            assert (each["as_of"] is None) == gone


async def test_a_key_is_asked_for_and_is_for_its_project_alone() -> None:
    key = "k" * 40
    from app.http.api_keys import digest_of

    keys = [
        {"name": "one", "sha256": digest_of(key), "scopes": ["lookup"], "projects": ["shop"]},
        {"name": "two", "sha256": digest_of(key + "2"), "scopes": ["audiences"], "projects": ["*"]},
    ]
    async with lab(*keys) as made:
        made.view(USERS[:8], project="shop")
        body = {"users": users(*USERS[:8])}
        assert (await made.post("/v1/lookup", body))[0] == 401
        assert (await made.post("/v1/lookup", body, **{"api-key": key}))[0] == 403
        assert (await made.post("/v1/lookup?project=shop", body, **{"api-key": key + "2"}))[0] == 403
        status, answer, _ = await made.post("/v1/lookup?project=shop", body, **{"api-key": key})
        assert status == 200
        assert {each["status"] for each in answer["users"]} == {"ok"}, "others are asked with the key"


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_owner_waits_until_it_has_what_the_caller_wrote(engine: Any) -> None:
    async with lab(engine=engine()) as made:
        ann = next(each for each in USERS if made.owner[partition_of(each, PARTITIONS)] == 0)
        partition = partition_of(ann, PARTITIONS)
        made.view([ann])
        body = {"users": users(ann), "audiences": ["viewers"], "deadline_ms": 10_000}
        place = f"events/{partition}@"
        (now,) = await asked(made, {**body, "min_position": f"{place}{made.offset}"})
        assert now["status"] == "ok"
        waiting = asyncio.create_task(asked(made, {**body, "min_position": f"{place}{made.offset + 1}"}))
        (late,) = await asked(made, {**body, "deadline_ms": 50, "min_position": f"{place}{made.offset + 1}"})
        assert late["status"] == "unavailable"
        assert not waiting.done()
        made.view([ann])
        assert (await waiting)[0]["status"] == "ok"
        (latest,) = await asked(made, {**body, "min_position": "latest"})
        assert latest["status"] == "ok"
