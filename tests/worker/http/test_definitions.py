"""Definitions over HTTP: every status code, and edits through several workers at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audit import AuditRecord, read_audit
from agents.registry.topic import everything_on
from tests.stage.log import view
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker, until

FANS: dict[str, Any] = {"id": "fans", "name": "Fans", "rule": {"event": "view"}}
KEEN: dict[str, Any] = {
    "id": "keen",
    "name": "Keen",
    "rule": {"all": [{"audience": "fans"}, {"event": "buy"}]},
}
EDITS, CALLERS = 200, 20


def fans(event: str) -> dict[str, Any]:
    return {**FANS, "rule": {"event": event}}


class Client:
    """One who speaks to a worker."""

    def __init__(self, session: ClientSession, worker: Worker) -> None:
        self._session = session
        self._url = worker.url
        self.etag: str | None = None
        self.headers: dict[str, str] = {}

    async def ask(
        self, method: str, path: str, body: Any = None, if_match: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """(status, body)."""
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", **self.headers, **headers}
        if if_match is not None:
            headers["If-Match"] = if_match
        async with self._session.request(method, self._url + path, data=data, headers=headers) as answer:
            self.etag, text = answer.headers.get("ETag"), await answer.text()
            return answer.status, json.loads(text) if text else None


@asynccontextmanager
async def running(stage: Scene, *names: str, **settings: object) -> AsyncIterator[list[Client]]:
    workers = [stage.worker(name, **settings) for name in names]
    for each in workers:
        each.start()
    for each in workers:
        await each.wait_ready()
    async with ClientSession() as session:
        yield [Client(session, each) for each in workers]


async def test_a_definition_from_its_first_version_to_its_end(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, running(stage, "w1") as (one,):
        path = "/v1/audiences/fans"
        assert await one.ask("GET", "/v1/audiences") == (200, {"project": "default", "audiences": []})
        assert (await one.ask("GET", path))[0] == 404
        status, body = await one.ask("POST", "/v1/audiences", FANS)
        assert (status, body["version"], body["name"], one.etag) == (201, 1, "Fans", '"1"')
        assert body["definition"]["rule"] == FANS["rule"]
        assert (await one.ask("POST", "/v1/audiences", FANS))[0] == 409
        assert (await one.ask("POST", "/v1/audiences", KEEN))[0] == 201

        status, body = await one.ask("PUT", path, fans("buy"))
        assert (status, body["title"]) == (428, "If-Match is needed")
        assert (await one.ask("PUT", path, fans("buy"), "1"))[0] == 400
        assert (await one.ask("PUT", path, fans("buy"), 'W/"1"'))[0] == 412
        status, body = await one.ask("PUT", path, fans("buy"), '"1"')
        assert (status, body["version"], one.etag) == (200, 2, '"2"')
        status, body = await one.ask("PUT", path, fans("other"), '"1"')
        assert (status, one.etag) == (412, '"2"')
        assert "is at version 2, not 1" in body["detail"]
        status, body = await one.ask("PUT", path, fans("buy"), '"7", "2"')
        assert (status, body["version"]) == (200, 2)  # nothing is changed: no new version
        assert (await one.ask("PUT", path, {**FANS, "id": "other"}, "*"))[0] == 422
        assert (await one.ask("PUT", "/v1/audiences/nobody", {**FANS, "id": "nobody"}, "*"))[0] == 404

        await stage.send(0, [view("ann", time.time_ns() // 1_000_000)])

        async def is_counted() -> bool:
            listed = (await one.ask("GET", "/v1/audiences"))[1]["audiences"]
            sizes = [each["size"] for each in listed]
            return sizes == [0, 0] and (await one.ask("GET", path))[1]["size"] == 0

        await until(is_counted, "sizes are known", 60, stage.running())

        status, body = await one.ask("POST", f"{path}/versions/1:restore")
        assert (status, body["version"], body["definition"]["rule"]) == (200, 3, FANS["rule"])
        assert (await one.ask("POST", f"{path}/versions/1:restore", if_match='"2"'))[0] == 412
        assert (await one.ask("POST", f"{path}/versions/9:restore"))[0] == 404
        assert (await one.ask("POST", "/v1/audiences/nobody/versions/1:restore"))[0] == 404
        status, body = await one.ask("POST", f"{path}:rebuild")
        assert (status, body["version"]) == (200, 4)
        assert (await one.ask("POST", "/v1/audiences/nobody:rebuild"))[0] == 404
        assert (await one.ask("POST", f"{path}:rebuild", if_match='"1"'))[0] == 412

        assert (await one.ask("DELETE", path))[0] == 428
        status, body = await one.ask("DELETE", path, if_match='"4"')
        assert (status, body["title"]) == (409, "Audience is still used")
        assert [each["code"] for each in body["errors"]] == ["still_used"]
        assert "'fans' is part of the rule of 'keen'" in body["errors"][0]["message"]
        assert (await one.ask("DELETE", "/v1/audiences/keen", if_match='"1"'))[0] == 204
        assert (await one.ask("DELETE", path, if_match='"3"'))[0] == 412
        assert (await one.ask("DELETE", path, if_match="*"))[0] == 204
        assert (await one.ask("DELETE", path, if_match="*"))[0] == 404

        status, body = await one.ask("GET", f"{path}/versions")
        shown = [(each["version"], each["deleted"], each["rebuild"]) for each in body["versions"]]
        assert shown == [
            (5, True, False),
            (4, False, True),
            (3, False, False),
            (2, False, False),
            (1, False, False),
        ]
        status, body = await one.ask("GET", f"{path}/versions/2")
        assert (status, body["definition"]["rule"]) == (200, {"event": "buy"})
        assert (await one.ask("GET", f"{path}/versions/6"))[0] == 404
        assert (await one.ask("GET", f"{path}/versions/{'9' * 5000}"))[0] in (400, 404)
        status, body = await one.ask("POST", "/v1/audiences", FANS)
        assert (status, body["version"]) == (201, 6)


async def test_every_error_of_a_definition_is_told_and_nothing_is_published(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    wrong = {"id": "w", "name": "", "rule": {"all": [{"evnt": "x"}, {"event": "y", "count": {"gte": "3"}}]}}
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, running(stage, "w1") as (one,):
        status, body = await one.ask("POST", "/v1/audiences", wrong)
        assert (status, body["title"]) == (422, "Not a definition")
        assert {each["path"] for each in body["errors"]} == {
            "name",
            "rule.all[0].evnt",
            "rule.all[1].count.gte",
        }
        assert all(each["code"] and each["message"] for each in body["errors"])
        status, checked = await one.ask("POST", "/v1/audiences:validate", wrong)
        assert (status, checked["valid"], checked["errors"]) == (200, False, body["errors"])
        status, checked = await one.ask("POST", "/v1/audiences:validate", {"audiences": [FANS, KEEN]})
        assert (status, checked["valid"], checked["audiences"]) == (200, True, ["fans", "keen"])
        status, body = await one.ask("POST", "/v1/audiences", KEEN)
        assert (status, [each["code"] for each in body["errors"]]) == (422, ["reference"])
        for body in ("\xff", "[" * 3000, "audiences: []", json.dumps({"audiences": [FANS, KEEN]})):
            assert (await one.ask("POST", "/v1/audiences", body))[0] == 422
        assert (await one.ask("POST", "/v1/audiences?project=shop", FANS))[0] == 422
        assert (await one.ask("POST", "/v1/audiences", "x" * 200_000))[0] == 413
        assert (await one.ask("GET", "/v1/audiences"))[1]["audiences"] == []


async def test_a_held_version_is_released_or_taken_back(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        running(stage, "w1", audiences__max_change=0) as (one,),
    ):
        path = "/v1/audiences/fans"
        await one.ask("POST", "/v1/audiences", FANS)
        for action in (":release", ":take-back"):
            status, body = await one.ask("POST", path + action)
            assert (status, body["title"]) == (409, "Audience is not held")
            assert (await one.ask("POST", "/v1/audiences/nobody" + action))[0] == 404
        await stage.send(0, [view("ann", time.time_ns() // 1_000_000)])

        async def has(**wanted: object) -> None:
            async def is_so() -> bool:
                body = (await one.ask("GET", path))[1]
                return bool({name: body[name] for name in wanted} == wanted)

            await until(is_so, f"it has {wanted}", 60, stage.running())

        await has(version=1, state="ready", size=1)
        await one.ask("PUT", path, fans("buy"), '"1"')
        await has(version=2, state="held")
        body = (await one.ask("GET", path))[1]
        assert body["change"] == {"enters": 0, "exits": 1, "members": 1, "is_counted": True}
        assert body["released"] is False
        assert (await one.ask("POST", path + ":release", if_match='"1"'))[0] == 412
        status, body = await one.ask("POST", path + ":take-back", if_match='"2"')
        assert (status, body["version"], body["definition"]["rule"]) == (200, 3, FANS["rule"])
        await has(version=3, state="ready", size=1)
        await one.ask("PUT", path, fans("buy"), '"3"')
        await has(version=4, state="held")
        status, body = await one.ask("POST", path + ":release", if_match='"4"')
        assert (status, body["version"]) == (200, 4)
        await has(version=4, state="ready", size=0, released=True)


async def test_a_key_needs_the_scope_and_the_project_and_its_name_is_noted(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    import hashlib

    def key(name: str, scope: str, *projects: str) -> dict[str, object]:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return {"name": name, "sha256": digest, "scopes": [scope], "projects": list(projects)}

    keys = [key("looks", "lookup", "*"), key("shop", "audiences", "shop"), key("all", "audiences", "*")]
    own = {**FANS, "project": "shop"}
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        running(stage, "w1", http__api_keys=json.dumps(keys)) as (one,),
    ):

        async def status(method: str, path: str, name: str, body: Any = None) -> int:
            one.headers = {"api-key": name} if name else {}
            return (await one.ask(method, path, body, "*"))[0]

        assert await status("GET", "/v1/audiences", "") == 401
        assert await status("GET", "/v1/audiences", "looks") == 403
        assert await status("GET", "/v1/audiences", "shop") == 403
        assert await status("POST", "/v1/audiences", "shop", FANS) == 403
        assert await status("POST", "/v1/audiences", "shop", own) == 403  # the query says the default project
        assert await status("POST", "/v1/audiences?project=shop", "shop", own) == 201
        assert await status("PUT", "/v1/audiences/fans?project=shop", "all", {**own, "name": "F"}) == 200
        for path in ("", ":rebuild", "/versions/1:restore", ":release", ":take-back"):
            method = "POST" if path else "DELETE"
            assert await status(method, f"/v1/audiences/fans{path}?project=shop", "looks") == 403
            assert await status(method, f"/v1/audiences/fans{path}", "shop") == 403
        body = (await one.ask("GET", "/v1/audiences/fans/versions?project=shop", **{"api-key": "all"}))[1]
        assert [each["by"] for each in body["versions"]] == ["all", "shop"]
        async with new_consumer(Broker(kafka)) as consumer:
            told = [each async for each in read_audit(consumer, f"{topic_prefix}.audit")]
        assert [(e.by, e.via, e.action) for e in told if isinstance(e, AuditRecord)] == [
            ("shop", "http", "created"),
            ("all", "http", "changed"),
        ]


async def test_two_hundred_edits_through_two_workers_lose_none(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=2) as stage,
        running(stage, "w1", "w2") as clients,
    ):
        path, statuses = "/v1/audiences/fans", Counter[int]()
        made: dict[int, str] = {}
        assert (await clients[0].ask("POST", "/v1/audiences", FANS))[0] == 201

        async def caller(number: int) -> None:
            """Reads, and writes on condition that nobody else wrote; through one worker or the other."""
            for edit in range(EDITS // CALLERS):
                client = clients[(number + edit) % 2]
                event = f"e{number}_{edit}"
                status, body = await client.ask("GET", path)
                assert status == 200, body
                seen = body["version"]
                status, body = await client.ask("PUT", path, fans(event), f'"{seen}"')
                statuses[status] += 1
                if status == 200:
                    assert made.setdefault(body["version"], event) == event
                    assert body["version"] == seen + 1

        await asyncio.gather(*map(caller, range(CALLERS)))
        assert statuses.keys() <= {200, 412}
        assert statuses.total() == EDITS
        assert statuses[200] >= 10
        versions = sorted(made)
        assert versions == list(range(2, len(versions) + 2))
        for version, event in made.items():
            body = (await clients[version % 2].ask("GET", f"{path}/versions/{version}"))[1]
            assert body["definition"]["rule"] == {"event": event}
        async with new_consumer(Broker(kafka)) as consumer:
            keys = [each.key async for each in everything_on(consumer, f"{topic_prefix}.audiences")]
        assert len(keys) == len(set(keys)) == len(versions) + 1
