"""History that is imported beside a running worker: nothing changes by it, and a rebuild takes it in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from agents.kafka.placement import partition_of
from app.cli import cli
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import environment

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
DEFINITIONS = """
audiences:
  - {id: twice, name: Bought twice, rule: {event: buy, count: {gte: 2}}}
  - {id: pro, name: Pro, rule: {attribute: plan, eq: pro}}
"""


def buy(user: str, at_ms: int) -> str:
    return json.dumps({"user_id": user, "event": "buy", "time": at_ms})


async def turnstile(stage: Scene, *arguments: str) -> str:
    env = environment(
        {"kafka.bootstrap": stage.bootstrap, "topics.prefix": stage.prefix, "worker.app_id": stage.prefix}
    )
    ran = await asyncio.to_thread(CliRunner(env=env).invoke, cli, list(arguments))
    assert ran.exit_code == 0, (ran.output, ran.exception)
    return ran.output


async def transitions(stage: Scene) -> set[tuple[str, str, str, int]]:
    found = [json.loads(each.value or b"") for each in await stage.read(stage.transitions)]
    return {(each["event"], each["audience"], each["user_id"], each["seq"]) for each in found}


async def test_what_is_imported_counts_from_the_rebuild_on(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Of a user that the live stream knows, and of one that it doesn't."""
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(DEFINITIONS)
        worker = stage.worker(audiences__max_change=1000)
        worker.start()
        await worker.wait_ready()
        for user in ("both", "live"):
            for at_ms in (START_MS, START_MS + DAY_MS)[: 1 if user == "both" else 2]:
                await stage.send(
                    partition_of(user, 2), [Line(at_ms, user.encode(), buy(user, at_ms).encode())]
                )
        await stage.finished()
        assert await transitions(stage) == {("enter", "twice", "live", 1)}
        file = tmp_path / "history.jsonl"
        profile = {"user_id": "old", "type": "profile", "set": {"plan": "pro"}, "time": START_MS - DAY_MS}
        lines = [
            buy("old", START_MS - DAY_MS),
            buy("both", START_MS - 2 * DAY_MS),
            json.dumps(profile),
            buy("old", START_MS - 9 * DAY_MS),
        ]
        file.write_text("\n".join(lines))
        assert "4 records of 1 file" in await turnstile(stage, "import", str(file))
        await asyncio.sleep(1)
        assert await transitions(stage) == {("enter", "twice", "live", 1)}, "an import decides nothing"
        await turnstile(stage, "audiences", "rebuild", "--all", "--yes")
        await stage.finished()
        assert await transitions(stage) == {
            ("enter", "twice", "live", 1),
            ("enter", "twice", "both", 1),
            ("enter", "twice", "old", 1),
            ("enter", "pro", "old", 1),
        }
