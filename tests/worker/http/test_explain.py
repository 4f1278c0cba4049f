"""Why a user is in an audience: over HTTP, and from a shell that asks a worker."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from agents.kafka.placement import partition_of
from rules.time.instants import format_instant
from tests.stage.commands import run_beside
from tests.stage.log import view
from tests.stage.scene import scene

DEFINITIONS = """
audiences:
  - {id: pair, name: Pair, rule: {all: [{event: view, count: {gte: 2}, within: 1h}, {not: {event: buy}}]}}
  - {id: buyers, name: Buyers, rule: {event: buy}}
"""
USER = "ann/ü 1"
PATH = "ann%2F%C3%BC%201"


async def shell(*arguments: str) -> tuple[int, str, str]:
    """(exit code, output, errors) of ``turnstile``."""
    done = await run_beside(*arguments)
    return done.returncode, done.stdout, done.stderr


async def test_a_worker_explains_a_membership(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    changed = {"kafka__idempotence": False, "kafka__rebalance_timeout_ms": 4000}
    async with scene(broker, topic_prefix, tmp_path, partitions=2, idempotence=False) as stage:
        await stage.define(DEFINITIONS)
        worker = stage.worker(**changed)
        worker.start()
        await stage.until(worker.owns_all(2), "it owns both partitions")
        now_ms = int(time.time() * 1000)
        lines = [view(USER, now_ms), view(USER, now_ms + 1)]
        await stage.send(partition_of(USER, 2), lines)
        await stage.reach(1)

        status, body = await worker.get(f"/v1/users/{PATH}/explain/pair")
        assert status == 200, body
        runs_out = format_instant(now_ms + 3_600_000)
        assert (body["user_id"], body["audience"], body["member"]) == (USER, "pair", True)
        assert (body["since"], body["exit_at"]) == (format_instant(now_ms + 1), runs_out)
        rule = body["rule"]
        assert (rule["kind"], rule["value"], rule["flips_at"]) == ("all", True, runs_out)
        counted, unbought = rule["parts"]
        assert counted["facts"]["events"] == [format_instant(now_ms), format_instant(now_ms + 1)]
        assert (unbought["value"], unbought["parts"][0]["value"]) == (True, False)
        described = (await worker.get("/openapi.json"))[1]
        _validator(described).validate(body)

        for path, words in {
            f"/v1/users/{PATH}/explain/pears": "pears",
            "/v1/users/nobody/explain/pair": "nobody",
        }.items():
            status, problem = await worker.get(path)
            assert (status, problem["status"]) == (404, 404)
            assert words in problem["detail"]

        url = ("--url", worker.url)
        code, out, errors = await shell("explain", USER, "pair", *url)
        assert (code, errors) == (0, "")
        head, first, *rest = out.splitlines()
        assert head.startswith(
            f'"{USER}" is in pair ("Pair", version 1) since {body["since"]}; leaves at {runs_out}'
        )
        assert first == f"└── yes All of these 2 must hold. 2 of them do. Until {runs_out}."
        assert rest[2:] == [
            f'        └── no There was at least one "buy" event. {unbought["parts"][0]["found"]}'
        ]
        assert unbought["parts"][0]["found"].startswith("None was counted")
        assert rest[:2] == [
            '    ├── yes The number of "view" events is at least 2 in the last 1 hour. '
            "At least 2 counted (no more are needed), "
            f"the latest at {format_instant(now_ms + 1)}. Until {runs_out}.",
            "    └── yes The part must be false. It is false.",
        ]
        code, out, _ = await shell("explain", USER, "pair", "--json", *url)
        assert json.loads(out)["rule"] == rule
        assert await shell("explain", USER, "pears", *url) == (
            2,
            "",
            "project 'default' has no audience 'pears'; did you mean 'pair'?\n",
        )

        since = f"since {body['since']}  until {runs_out}"
        assert await shell("lookup", USER, *url) == (0, f"pair  {since}\n", "")
        assert await shell("lookup", USER, "pair", *url) == (0, f"pair  in  {since}\n", "")
        assert (await shell("lookup", USER, "buyers", "pair", *url))[:2] == (
            1,
            f"buyers  out\npair    in   {since}\n",
        )
        code, _, errors = await shell("lookup", USER, "pears", "x", *url)
        assert (code, len(errors.splitlines())) == (2, 2)
        worker.stop()
        code, _, errors = await shell("lookup", USER, *url)
        assert (code, errors.count("no worker answers at")) == (2, 1)


def _validator(described: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**described, "$ref": "#/components/schemas/Explanation"})
