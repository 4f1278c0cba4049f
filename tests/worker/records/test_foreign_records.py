"""What others write to our own topics: told in ``/readyz?verbose``, passed by, and no reason to stop."""

from __future__ import annotations

import json
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.stage.log import START_MS, Line
from tests.stage.scene import scene
from tests.worker.commands.test_definitions import command

TWO = """
audiences:
  - {id: once, name: Once, rule: {event: view}}
  - {id: twice, name: Twice, rule: {event: view, count: {gte: 2}}}
"""
DEEP = b'{"version": 2, "definition": {"rule": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
RING = {"id": "ring", "name": "Ring", "rule": {"not": {"audience": "ring"}}}


def view(user_id: str) -> bytes:
    return json.dumps({"user_id": user_id, "event": "view"}).encode()


def origin(topic: str = "", partition: str = "0", offset: str = "0") -> list[tuple[str, bytes]]:
    names = ("source.topic", "source.partition", "source.offset")
    return [(name, each.encode()) for name, each in zip(names, (topic, partition, offset), strict=True)]


async def test_bad_records_on_our_own_topics_stop_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(TWO)
        here = next(name for name in (f"u{at}" for at in range(99)) if partition_of(name, 2) == 0)
        await stage.send(0, [Line(START_MS, b"u", view(here))])
        worker = stage.worker()
        worker.start()
        await stage.finished()

        send, audiences = stage.producer.send_and_wait, f"{topic_prefix}.audiences"
        bad = [
            (b"default/deep", DEEP),
            (b"default/twice", DEEP),
            (b"\xff", b"{}"),
            (b"default/once", b"\xff"),
        ]
        bad.append(
            (
                b"default/moved",
                json.dumps({"version": 1, "definition": {**RING, "rule": {"event": "x"}}}).encode(),
            )
        )
        for key, value in bad:
            await send(audiences, value, key)
        await send(audiences, json.dumps({"version": 1, "definition": RING}).encode(), b"default/ring")
        foreign = [
            [],
            origin("elsewhere"),
            origin(stage.events, "7"),
            origin(stage.events, "-1"),
            origin(stage.events, "0", "x"),
            origin(stage.events, "0", "9" * 30),
            [("source.topic", b"\xff"), *origin()[1:]],
        ]
        for headers in foreign:
            await send(stage.repartition, view(here), b"k", 0, START_MS + 5, headers)
        changelog = [
            (here.encode(), b"\xff junk"),
            (b"\xff\xfe", b"junk"),
            (b"\0\0marker", b"junk"),
        ]
        for key, value in changelog:
            await send(stage.changelog, value, key, 0)
        await stage.finished()
        letters = await stage.read(f"{stage.repartition}.dlq")
        assert [dict(each.headers)["error.code"] for each in letters] == [b"rekeyed_origin"] * len(foreign)

        async def told() -> dict[str, int]:
            warnings = (await worker.get("/readyz?verbose"))[1]["warnings"]
            return {each["code"]: sum(e["code"] == each["code"] for e in warnings) for each in warnings}

        async def is_told() -> bool:
            return await told() == {"definition_unreadable": len(bad), "definition_set_aside": 1}

        await stage.until(is_told, "every bad definition is told")
        assert (
            'turnstile_warnings_total{code="definition_unreadable"} 5.0' in (await worker.get("/metrics"))[1]
        )
        # A start over all of it.
        worker.stop()
        worker.wipe()
        worker.start()
        await stage.finished()
        assert (await told())["changelog_foreign"] == len(changelog)
        await stage.send(0, [Line(START_MS + 9, b"u", view(here))])
        await stage.reach(2)
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert [(each["user_id"], each["audience"]) for each in bodies] == [(here, "once"), (here, "twice")]

        # Commands tell them and go on; publishing mends them.
        listed = command(stage, "audiences", "list")
        assert (listed.returncode, len(listed.stderr.splitlines())) == (0, len(bad)), listed.stderr
        assert f"{audiences}, offset 2, key 'default/deep': it is nested too deep" in listed.stderr
        assert "twice" in listed.stdout
        (tmp_path / "again.yaml").write_text(TWO)
        applied = command(stage, "audiences", "apply", "--yes", "--no-wait", str(tmp_path / "again.yaml"))
        assert applied.returncode == 0, applied.stderr
        assert applied.stdout.count("changed") == 2

        async def is_mended() -> bool:
            return (await told()).get("definition_unreadable") == len(bad) - 2

        await stage.until(is_mended, "what was published again is no longer told")
        worker.stop()


async def test_a_re_keyed_record_of_a_partition_that_came_later_is_taken(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(TWO)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        await stage.grow(stage.events, 3)
        await stage.producer.send_and_wait(
            stage.repartition, view("u"), b"u", 0, START_MS, origin(stage.events, "2", "5")
        )
        await stage.reach(1)
        assert await stage.total(f"{stage.repartition}.dlq") == 0
