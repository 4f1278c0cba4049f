"""Definitions that change under a running worker, and settings and definitions that are refused."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.stage.commands import Done, run
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import COMMAND, environment

TWO = """
audiences:
  - {id: fans, name: Fans, rule: {event: view, count: {gte: 2}}}
  - {id: gold, name: Gold, rule: {attribute: plan, eq: gold}}
"""
EASIER = "audiences: [{id: gold, name: Gold, rule: {attribute: plan, in: [gold, silver]}}]"
SOON_SECONDS = 20.0
COMPUTED_SECONDS = 60.0
"""An edit is computed from the history first; on a busy machine that takes some seconds."""


def command(stage: Scene, *arguments: str) -> Done:
    """A ``turnstile`` command on the scene's broker."""
    settings = {"kafka.bootstrap": stage.bootstrap, "topics.prefix": stage.prefix}
    return run(*arguments, given=environment(settings))


async def test_changes_are_taken_up_while_the_worker_runs(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        (tmp_path / "two.yaml").write_text(TWO)
        assert (
            command(stage, "audiences", "apply", "--yes", "--no-wait", str(tmp_path / "two.yaml")).returncode
            == 0
        )
        (tmp_path / "of.yaml").write_text(
            "{id: of, name: Of, rule: {any: [{audience: fans}, {audience: fsna}]}}"
        )
        checked = command(stage, "check", "--published", str(tmp_path / "of.yaml")).stderr
        assert ["fsna" in line for line in checked.splitlines()] == [True, False]
        # An edit of one member changes all of them.
        worker = stage.worker(worker__id="w1", audiences__max_change=100)
        worker.start()
        await worker.wait_ready()
        now = int(time.time() * 1000) - 1000
        lines = []
        for number, plan in enumerate(["gold", "silver", "none"]):
            name = f"u{number}"
            bodies = [
                {"type": "profile", "user_id": name, "set": {"plan": plan}},
                *[{"user_id": name, "event": "view"}] * (2 if number == 2 else 1),
            ]
            lines += [Line(now, name.encode(), json.dumps(body).encode()) for body in bodies]
        await stage.send(0, lines)
        await stage.reach(2)

        changed_at = time.monotonic()
        await stage.define(EASIER, version=2)
        await stage.reach(3)
        assert time.monotonic() - changed_at < COMPUTED_SECONDS
        deleted_at = time.monotonic()
        assert command(stage, "audiences", "delete", "--yes", "gold").returncode == 0
        deleted_at = max(deleted_at, time.monotonic() - SOON_SECONDS)
        await stage.reach(5)
        assert time.monotonic() - deleted_at < 2 * SOON_SECONDS
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert [
            (each["user_id"], each["audience"], each["event"], each["cause"], each["audience_version"])
            for each in bodies
        ] == [
            ("u0", "gold", "enter", "profile", 1),
            ("u2", "fans", "enter", "event", 1),
            ("u1", "gold", "enter", "definition", 2),
            ("u0", "gold", "exit", "definition", 3),
            ("u1", "gold", "exit", "definition", 3),
        ]
        assert (await worker.get("/v1/audiences/gold/members/u0"))[0] == 404
        assert (await worker.get("/v1/audiences/fans/members/u2"))[1]["member"] is True
        worker.kill()
        worker.start()
        await stage.finished()
        assert (await stage.outcome()).bodies.keys() == {each["id"] for each in bodies}


async def test_one_bad_definition_publishes_nothing(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        (tmp_path / "good.yaml").write_text(TWO)
        (tmp_path / "bad.yaml").write_text(
            "{id: bad, name: Bad, rule: {event: view, cuont: {gte: 1}, within: 5x}}\n"
        )
        refused = command(stage, "audiences", "apply", "--yes", "--no-wait", str(tmp_path))
        assert refused.returncode == 2
        assert "cuont" in refused.stderr
        assert "5x" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert await stage.total(f"{stage.prefix}.audiences") == 0


async def test_an_unreadable_definition_leaves_the_one_before_in_force(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(TWO)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        topic = f"{stage.prefix}.audiences"
        await stage.producer.send_and_wait(
            topic, b'{"version": 2, "definition": {"id": "fans"}}', b"default/fans"
        )
        await stage.producer.send_and_wait(topic, b"not json", b"default/gold")

        async def is_told() -> bool:
            body = (await worker.get("/readyz?verbose"))[1]
            return bool(body["unreadable_definitions"].keys() == {"default/fans", "default/gold"})

        await stage.until(is_told, "both are reported")
        assert (await worker.get("/readyz?verbose"))[1]["audiences"] == 2

        async def is_swept() -> bool:
            return (await worker.get("/v1/audiences/fans/members/u1"))[0] != 409

        await stage.until(is_swept, "the rows are looked at")
        assert (await worker.get("/v1/audiences/fans/members/u1"))[0] == 200


def test_every_wrong_setting_is_named_at_the_start(tmp_path: Path) -> None:
    settings = {
        "kafka.bootstrap": "nonsense",
        "topics.partitions": 0,
        "worker.poll_records": "many",
        "http.prot": 1,
        "worker.data_dir": str(tmp_path / "data"),
    }
    refused = subprocess.run(
        [*COMMAND, "worker"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert refused.returncode == 2
    for name in ("kafka.bootstrap", "topics.partitions", "worker.poll_records", "HTTP__PROT"):
        assert name in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


async def test_topics_that_do_not_fit_are_refused(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.make(stage.changelog, 3)
        worker = stage.worker()
        worker.start()
        process = worker.process
        assert process is not None
        await stage.until_ended(worker)
        assert process.returncode == 2, worker.log()
        assert f"--alter --topic {stage.repartition} --partitions 3" in worker.log()
