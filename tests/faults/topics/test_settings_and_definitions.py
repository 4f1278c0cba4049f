"""Topics that don't exist, are set wrongly, or lost their definitions: the worker says what mends it."""

from __future__ import annotations

import sys
from pathlib import Path

from aiokafka import TopicPartition

from agents.topics import create_topics, existing
from agents.topics.make import set_configs
from app.kafka.embedded import start_tied
from tests.faults.topics.lab import (
    SEEN,
    SOON,
    USERS,
    command,
    cut_head,
    refused,
    remake,
    transitions,
    worked,
)
from tests.stage.scene import Scene
from tests.stage.workers import environment


async def test_definitions_that_are_lost_stop_the_start_and_publishing(stage: Scene, tmp_path: Path) -> None:
    two = SEEN[:-1] + ", {id: twice, name: Twice, rule: {event: view, count: {gte: 2}}}]"
    await stage.define(two, version=4)
    worker = await worked(stage, two)
    topic = f"{stage.prefix}.audiences"
    end = (await stage.ends(topic))[TopicPartition(topic, 0)]
    await cut_head(stage, topic, {0: end - 1})
    said = await refused(stage, worker)
    assert f"{topic} holds 1 definitions, but at least 2 were known" in said
    await remake(stage, topic)
    said = await refused(stage, worker)
    assert f"{topic} does not exist any more" in said
    assert topic not in await existing(stage.admin), "a worker made it, and nobody would notice"
    (tmp_path / "seen.yaml").write_text(SEEN)
    published = command(stage, "audiences", "apply", "--yes", "--no-wait", str(tmp_path / "seen.yaml"))
    assert published.returncode == 2
    assert f"turnstile topics accept {topic}" in published.stderr
    await create_topics(stage.admin, {topic: (1, {"cleanup.policy": "compact"})}, 1)
    assert command(stage, "topics", "accept", topic).returncode == 0
    published = command(stage, "audiences", "apply", "--yes", "--no-wait", str(tmp_path / "seen.yaml"))
    assert "version 5" in published.stdout, published.stdout + published.stderr
    worker.start()
    await stage.finished()
    for user in USERS:
        assert (await worker.get(f"/v1/users/{user}/audiences"))[1]["audiences"], user
    worker.stop()
    assert all(each["event"] == "enter" for each in await transitions(stage))


async def test_a_mistyped_source_makes_nothing(stage: Scene) -> None:
    worker = stage.worker(topics__create=False, topics__events=stage.events[:-1], topics__prefix="other")
    said = await refused(stage, worker)
    assert f"topics.events names '{stage.events[:-1]}', which does not exist" in said
    assert f"did you mean '{stage.events}'?" in said
    made = await existing(stage.admin)
    assert not {name for name in made if name.startswith(("other.", f"{stage.events[:-1]}."))}
    assert stage.changelog not in made
    deliverer = command(stage, "deliver")
    assert deliverer.returncode == 2
    assert f"did you mean '{stage.events}'?" in deliverer.stderr


async def test_a_setting_that_loses_data_stops_a_worker_and_an_unwise_one_warns(stage: Scene) -> None:
    await set_configs(stage.admin, stage.repartition, {"retention.ms": "1000000"})
    await stage.define(SEEN)
    worker = stage.worker()
    worker.process = start_tied([sys.executable, "-c", SOON], worker.log_file, environment(worker.settings))
    process = worker.process
    await worker.wait_ready()
    body = (await worker.get("/readyz?verbose"))[1]
    assert [(each["code"], each["place"]) for each in body["warnings"]] == [
        ("topic_settings", stage.repartition)
    ]
    await set_configs(stage.admin, stage.transitions, {"cleanup.policy": "compact"})
    await stage.until_ended(worker)
    assert process.returncode == 2
    said = worker.log()
    assert f"{stage.transitions} has cleanup.policy 'compact'; it must be 'delete'" in said
    checked = command(stage, "topics", "check")
    assert checked.returncode == 1
    assert f"wrong: {stage.transitions} has cleanup.policy 'compact'" in checked.stdout
    assert f"unwise: {stage.repartition} has retention.ms 1000000" in checked.stdout
    assert command(stage, "topics", "apply", "--yes").returncode == 0
    assert "0 wrong, 0 unwise" in command(stage, "topics", "check").stdout
