"""A client of the audience engine, typed from its documentation, asks a worker and a reader."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from agents.deliver.secrets.masking import MASK
from tests.app.sensors import seed
from tests.app.sensors.seed import KEYS, SeedClient, without_ids
from tests.stage.log import Line
from tests.stage.readers import ReaderProcess
from tests.stage.scene import Scene, scene

SCOPES = {"notify": "destinations", "meta": "audiences", "online": "lookup"}
AUDIENCES = """
audiences:
  - {id: "9999", name: Viewers, rule: {event: view}}
  - {id: ddw, name: Buyers, rule: {event: buy}}
  - {id: test_12, name: test12, type: batch, schedule: daily, rule: {event: view}}
  - {id: theirs, name: Theirs, project: other, rule: {event: view}}
"""
DAY_MS = 86_400_000
NOTIFY, META = "/express-notify", "/express-audience-meta"
ONE = "/express-audience-online/audience-entity/exists"
MANY = "/express-audience-online/audience-entities/exists"


def api_key(group: str, project: str) -> dict[str, object]:
    digest = hashlib.sha256(KEYS[group].encode()).hexdigest()
    return {"name": group, "sha256": digest, "scopes": [SCOPES[group]], "projects": [project]}


def view(distinct_id: str) -> Line:
    now_ms = int(time.time() * 1000)
    record = {"type": "track", "event": "view", "distinct_id": distinct_id, "time": now_ms, "properties": {}}
    return Line(now_ms, distinct_id.encode(), json.dumps(record).encode())


@asynccontextmanager
async def serving(kafka: str, prefix: str, folder: Path) -> AsyncIterator[tuple[Scene, list[SeedClient]]]:
    """A worker and a reader, and a client of each."""
    async with scene(kafka, prefix, folder, partitions=2) as stage, ClientSession() as session:
        await stage.define(AUDIENCES)
        settings = {
            "http__api_keys": json.dumps([api_key(group, "default") for group in KEYS]),
            "sources__formats": json.dumps([{"topic": stage.events, "format": "sensors"}]),
        }
        worker = stage.worker(**settings)
        reader = ReaderProcess("r1", folder, worker.settings)
        stage.workers.append(reader)
        for each in (worker, reader):
            each.start()
        for each in (worker, reader):
            await each.wait_ready()
        yield stage, [SeedClient(session, each.url) for each in (worker, reader)]


async def test_every_example_of_the_documentation(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with serving(kafka, topic_prefix, tmp_path) as (stage, (client, other)):
        for partition in range(stage.partitions):  # repartitioned where it isn't the user's
            await stage.send(partition, map(view, ("2345353434", "account_xx_81672273")))

        async def is_ready() -> bool:
            (rule,) = (await client.data("POST", META + "//rule/query", seed.QUERY_SOME))["rules"]
            return bool(rule["audience_data_ready"])

        await stage.until(is_ready, "the audience is ready", 30)
        all_of_them = (await other.data("POST", META + "/rule/query", seed.QUERY_ALL))["rules"]
        assert [each["audience_biz_id"] for each in all_of_them] == ["9999", "ddw", "test_12"]
        (wanted,) = json.loads(seed.RULES)["data"]["rules"]
        assert list(all_of_them[2]) == list(wanted)
        assert all_of_them[2]["audience_batch_rule"]["user_group_name"].startswith("user_group_pj")
        assert list(all_of_them[0]) == list(wanted)[:-1]

        async def is_in() -> bool:
            answers = [await each.ask("POST", ONE, seed.ONE_USER) for each in (client, other)]
            return all(status == 200 and b'"9999":true' in text for status, text in answers)

        await stage.until(is_in, "the user is in", 30)
        for each in (client, other):
            _, text = await each.ask("POST", ONE, seed.ONE_USER)
            without_data = {name: found for name, found in json.loads(text).items() if name != "data"}
            assert without_ids(json.dumps(without_data)) == without_ids(seed.ONE_USER_FOUND)
            assert await each.data("POST", ONE, seed.ONE_USER) == {"9999": True, "ddw": False}
            assert await each.data("POST", MANY, seed.MANY_USERS) == [False, True, True]

        for path, method, body in (
            (NOTIFY + "/set", "POST", seed.SET_NOTIFY),
            (NOTIFY + "/delete", "POST", None),
        ):
            status, text = await client.ask(method, path, body)
            assert (status, without_ids(text)) == (200, without_ids(seed.NOTHING))
        await _notify_addresses(stage, client, other)
        topic = f"{stage.prefix}.progress"
        stage.counts[topic] = 1

        async def is_computed() -> bool:
            midnight_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
            told = [json.loads(each.value) for each in await stage.read(topic) if b"/test_12/" in each.key]
            return [each.get("computed_ms") for each in told].count(midnight_ms) >= stage.partitions

        await stage.until(is_computed, "the last compute instant is behind all partitions", 10)


async def _notify_addresses(stage: Scene, client: SeedClient, other: SeedClient) -> None:
    """One for each project; any process serves it."""
    nobody = {"notify_config": None}

    async def is_gone() -> bool:
        return [await each.data("GET", NOTIFY + "/get") for each in (client, other)] == [nobody, nobody]

    await stage.until(is_gone, "the deletion is known everywhere", 10)
    await client.data("POST", NOTIFY + "/set", seed.SET_NOTIFY)
    shown = (await client.data("GET", NOTIFY + "/get"))["notify_config"]
    assert shown["auth_configs"] == [{"key": "key1", "value": MASK}, {"key": "key2", "value": MASK}]
    config: dict[str, Any] = json.loads(seed.NOTIFY_SHOWN)["data"]["notify_config"]
    given = {name: each for name, each in config.items() if name not in ("id", "project_ref_id")}
    given["notify_address"] = given["notify_address"].replace("{host}", "h.example")
    await other.data("POST", NOTIFY + "/set", json.dumps({"notify_config": given}))
    shown = (await other.data("GET", NOTIFY + "/get"))["notify_config"]
    assert list(shown) == list(config)
    assert isinstance(shown["id"], int)
    assert {name: shown[name] for name in given} == given
