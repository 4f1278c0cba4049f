"""``turnstile audiences estimate`` over a log in Kafka, without a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from agents.kafka.placement import partition_of
from app.estimate.change import estimate_change
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tests.stage.commands import Done, run, run_beside
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import environment

Json = Any
USERS, PARTITIONS = 240, 3
PUBLISHED = "audiences: [{id: viewers, name: Viewers, rule: {event: view, within: 30d}}]"
NEW = """
id: hot
name: Hot
rule: {all: [{audience: viewers}, {event: buy, within: 7d}]}
"""


def command(stage: Scene, *arguments: str) -> Awaitable[Done]:
    """``turnstile audiences estimate`` on the scene's broker."""
    settings = {"kafka.bootstrap": stage.bootstrap, "topics.prefix": stage.prefix}
    return run_beside("audiences", "estimate", *arguments, given=environment(settings))


async def fill(stage: Scene) -> None:
    """Everybody looked two days ago, a quarter bought yesterday, a tenth of these three weeks ago only."""
    now_ms = int(time.time() * 1000)
    for partition in range(PARTITIONS):
        lines = []
        for number in range(USERS):
            user = f"u{number}"
            if partition_of(user, PARTITIONS) != partition:
                continue
            days = 21 if number % 40 == 0 else 1
            lines.append(line(user, "view", now_ms - 2 * 86_400_000))
            if number % 4 == 0:
                lines.append(line(user, "buy", now_ms - days * 86_400_000))
        await stage.send(partition, sorted(lines, key=lambda each: each.timestamp))


def line(user: str, event: str, at_ms: int) -> Line:
    body = {"user_id": user, "event": event, "properties": {}}
    return Line(at_ms, user.encode(), json.dumps(body).encode())


async def test_an_audience_is_estimated_before_it_is_published(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(broker, topic_prefix, tmp_path, partitions=PARTITIONS, idempotence=False) as stage:
        await stage.define(PUBLISHED)
        await fill(stage)
        (file := tmp_path / "hot.yaml").write_text(NEW)

        done = await command(stage, str(file), "--json", "--days", "3")
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)["estimates"]
        assert found["size"] == {"users": 54, "low": 54, "high": 54, "exact": True}
        assert found["users"]["users"] == found["candidates"]["users"] == USERS
        assert [part["size"]["users"] for part in found["rule"]["parts"]] == [240, 54]
        assert [part["keeps"]["users"] for part in found["rule"]["parts"]] == [240, 54]
        assert [day["size"]["users"] for day in found["days"]][-2:] == [54, 54]
        assert found["days"][0]["size"]["users"] == 0
        assert len(found["members"]) == 10
        assert found["members"][0]["why"]["value"] is True

        told = await command(stage, str(file), "--error", "20%")
        assert told.stdout.startswith("default/hot: 54 users at ")
        assert "The user is in audience" in told.stdout

        (tmp_path / "bad.yaml").write_text(NEW.replace("viewers", "viewrs"))
        wrong = await command(stage, str(tmp_path / "bad.yaml"))
        assert wrong.returncode == 2
        assert "did you mean" in wrong.stderr


async def test_history_topics_count(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(broker, topic_prefix, tmp_path, partitions=PARTITIONS, idempotence=False) as stage:
        await fill(stage)
        await stage.make(history := f"{stage.prefix}.history", PARTITIONS)
        before_ms = int(time.time() * 1000) - 100 * 86_400_000
        for user in ("u1", "old"):
            body = json.dumps({"user_id": user, "event": "join"}).encode()
            partition = partition_of(user, PARTITIONS)
            await stage.producer.send_and_wait(history, body, user.encode(), partition, before_ms)
        (file := tmp_path / "joined.yaml").write_text("{id: joined, name: Joined, rule: {event: join}}")
        done = await command(stage, str(file), "--json")
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)["estimates"]
        assert sorted(each["user_id"] for each in found["members"]) == ["old", "u1"]
        assert (found["size"]["users"], found["users"]["users"]) == (2, USERS + 1)


async def test_without_a_log_it_is_said(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(broker, topic_prefix, tmp_path, partitions=1, idempotence=False) as stage:
        (file := tmp_path / "hot.yaml").write_text("{id: hot, name: Hot, rule: {event: buy}}")
        stage.prefix += "-none"
        done = await command(stage, str(file))
        assert done.returncode == 2
        assert "topics.events" in done.stderr


async def test_an_edit_tells_who_would_enter_and_leave(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(broker, topic_prefix, tmp_path, partitions=PARTITIONS, idempotence=False) as stage:
        await fill(stage)
        settings = Settings.model_validate(
            {"kafka": {"bootstrap": stage.bootstrap}, "topics": {"prefix": stage.prefix}}
        )

        def published(text: str) -> list[PublishedAudience]:
            return [PublishedAudience(each, 1) for each in load_definitions([("a.yaml", text)])]

        old = published(PUBLISHED + "\n  \n")
        both = """audiences:
          - {id: viewers, name: Viewers, rule: {event: buy, within: 7d}}
          - {id: rest, name: Rest, rule: {not: {audience: viewers}}}"""
        found = {each.audience: each for each in await estimate_change(settings, old, published(both))}
        assert (found["viewers"].enters.users, found["viewers"].exits.users) == (0, 240 - 54)
        assert (found["rest"].enters.users, found["rest"].before.users) == (240 - 54, 0)
        assert await estimate_change(settings, old, old) == []


@pytest.mark.parametrize("wrong", [("--error", "0"), ("--error", "x%"), ("--at", "noon")])
def test_wrong_options_are_told(wrong: tuple[str, str], tmp_path: Path) -> None:
    (file := tmp_path / "hot.yaml").write_text(NEW)
    done = run("audiences", "estimate", str(file), *wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr
