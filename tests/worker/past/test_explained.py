"""While an edit waits, ``explain`` tells which version decides, and how far the other one is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.stage.log import Line
from tests.stage.scene import scene
from tests.stage.workers import Worker

OFTEN = "audiences: [{id: often, name: Often, rule: {event: view, count: {gte: %d}, within: 30d}}]"


async def explained(worker: Worker, user: str) -> dict[str, Any]:
    status, body = await worker.get(f"/v1/users/{user}/explain/often")
    assert status == 200, body
    found: dict[str, Any] = body
    return found


async def test_an_edit_that_is_held_is_told_beside_the_version_that_decides(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(broker, topic_prefix, tmp_path, partitions=1, idempotence=False) as stage:
        await stage.define(OFTEN % 1)
        worker = stage.worker(kafka__idempotence=False, audiences__max_change=20)
        worker.start()
        await worker.wait_ready()
        now_ms = int(time.time() * 1000) - 5_000
        view = [json.dumps({"user_id": name, "event": "view"}).encode() for name in ("ann", "ann", "bob")]
        await stage.send(0, [Line(now_ms, json.loads(each)["user_id"].encode(), each) for each in view])
        await stage.finished()
        before = await explained(worker, "bob")
        assert (before["member"], before["pending_version"], before["pending"]) == (True, None, None)
        assert "when this version was published" not in json.dumps(before)

        await stage.define(OFTEN % 2, version=2)

        async def held() -> bool:
            told = await explained(worker, "bob")
            return told["pending"] is not None and told["pending"]["state"] == "held"

        await stage.until(held, "the edit is held", 60)
        body = await explained(worker, "bob")
        assert (body["member"], body["audience_version"], body["pending_version"]) == (True, 1, 2)
        assert body["rule"]["value"] is True
        described = (await worker.get("/openapi.json"))[1]
        reference = {"$ref": "#/components/schemas/Explanation"}
        Draft202012Validator({**reference, "components": described["components"]}).validate(body)
