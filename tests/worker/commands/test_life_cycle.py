"""The life of definitions from a shell, with a worker that computes the past."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.stage.commands import run
from tests.stage.log import Line
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker, environment

FANS = "{id: fans, name: Fans, rule: {event: view, count: {gte: 2}}}"
USERS = [f"u{number}" for number in range(20)]


def command(stage: Scene, *arguments: str) -> tuple[int, list[str], list[str]]:
    """A ``turnstile audiences`` command on the scene's broker: exit code, its lines."""
    settings = {"kafka.bootstrap": stage.bootstrap, "topics.prefix": stage.prefix}
    settings |= {"worker.app_id": stage.prefix, "topics.partitions": str(stage.partitions)}
    settings |= {"topics.events": stage.events}
    ran = run("audiences", *arguments, given=environment(settings))
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout.splitlines(), ran.stderr.splitlines()


async def started(stage: Scene) -> Worker:
    """A worker that has taken in two views of each user, and one more of every second user."""
    worker = stage.worker()
    worker.start()
    await worker.wait_ready()
    now = int(time.time() * 1000) - 60_000
    body = {"event": "view"}
    for number, user in enumerate(USERS):
        value = json.dumps({"user_id": user, **body}).encode()
        line = Line(now, user.encode(), value)
        await stage.send(number % stage.partitions, [line] * (2 + number % 2))
    await stage.finished()
    return worker


async def test_an_audience_arrives_with_its_members_and_an_edit_is_held_and_released(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        worker = await started(stage)
        file = tmp_path / "fans.yaml"
        file.write_text(FANS)
        code, out, err = command(stage, "apply", "--yes", str(file))
        assert (code, err[-1]) == (0, "ready"), (out, err)
        assert out[0] == "+ will create default/fans: 20 enter, nobody leaves; 0 members before, 20 after"
        assert "default/fans version 1: ready" in err
        listed = json.loads("\n".join(command(stage, "list", "--url", worker.url, "--json")[1]))
        assert [(each["state"], each["size"]) for each in listed] == [("ready", 20)]
        assert command(stage, "apply", str(file))[:2] == (
            0,
            ["nothing to do: the audience is published already as the files say"],
        )

        file.write_text(FANS.replace("gte: 2", "gte: 3"))
        code, out, err = command(stage, "apply", "--yes", str(file))
        assert code == 3, (out, err)
        assert "nobody enters, 10 leave; 20 members before, 10 after" in out[0]
        assert any("is held, because it changes too much" in line for line in err)
        assert (await worker.get("/v1/audiences/fans/members/u0"))[1]["member"] is True
        counts = "default/fans version 2: 0 would enter, 10 would leave of 20 members"
        code, out, err = command(stage, "take-back", "fans", "--yes")
        assert (code, out) == (0, [counts, "taken back default/fans, version 3"]), err
        code, out, err = command(stage, "restore", "fans", "2", "--yes")
        assert code == 3, (out, err)
        code, out, err = command(stage, "release", "fans", "--yes")
        assert (code, out[-1]) == (0, "released default/fans, version 4"), err
        assert (await worker.get("/v1/audiences/fans/members/u0"))[1]["member"] is False
        states = [line.split()[-1] for line in command(stage, "versions", "fans")[1][1:]]
        assert states == ["ready", "replaced", "overtaken", "replaced"]

        code, out, err = command(stage, "rebuild", "fans", "--yes")
        assert (code, out[-1]) == (0, "rebuilt default/fans, version 5"), err
        assert command(stage, "delete", "fans", "--yes")[1][-1] == "deleted default/fans, version 6"
        await stage.reach(40)
        bodies = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        assert (
            len([each for each in bodies if each["event"] == "enter" and each["cause"] == "backfill"]) == 20
        )
        assert len([each for each in bodies if each["event"] == "exit"]) == 20
        worker.stop()
