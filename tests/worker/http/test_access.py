"""Who gets in, on real workers: keys made while they run, forwarded requests, odd user ids."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agents.kafka.placement import partition_of
from app.kafka.embedded import free_ports
from app.worker_client import WorkerClient
from tests.app.http.lab import api_key, talk
from tests.stage.commands import Done, run_beside
from tests.stage.log import view
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker, environment

EVER = "audiences: [{id: ever, name: Ever, rule: {event: view}}]"
ODD = [
    ".",
    "..",
    "...",
    "%2e",
    "%2E%2e",
    "a/b",
    "a%2Fb",
    "%",
    "%zz",
    "{x}",
    "-",
    "a?b",
    "a#b",
    "a b",
    "é",
    "日本",
    "+",
    "x" * 512,
    "\n",
]


def run(stage: Scene, *arguments: str) -> Awaitable[Done]:
    given = environment({"kafka.bootstrap": stage.bootstrap, "topics.prefix": stage.prefix})
    return run_beside(*arguments, given=given)


async def command(stage: Scene, *arguments: str) -> str:
    done = await run(stage, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def both_share(stage: Scene, *workers: Worker, **headers: str) -> bool:
    for worker in workers:
        status, body = await worker.get("/readyz?verbose", headers)
        if status != 200 or len(body["partitions"]) != stage.partitions // len(workers):
            return False
    return True


async def test_keys_are_made_and_revoked_while_workers_run(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=4) as stage:
        await stage.define(EVER)
        keys = json.dumps([api_key("root", "admin"), api_key("one", "lookup", projects=["one"])])
        first, second = [stage.worker(name, http__api_keys=keys) for name in ("w1", "w2")]
        for worker in (first, second):
            worker.start()
        root = {"api-key": "root"}
        await stage.until(lambda: both_share(stage, first, second, **root), "both own partitions")

        users = [f"user-{number}" for number in range(8)]  # some of each worker
        made = await command(stage, "keys", "create", "app", "--scope", "lookup")
        assert len(made) > 40

        async def answers(headers: dict[str, str], project: str = "default") -> set[int]:
            return {
                (await worker.get(f"/v1/users/{user}/audiences?project={project}", headers))[0]
                for worker in (first, second)
                for user in users
            }

        async def is_good() -> bool:
            path, headers = f"/v1/users/{users[0]}/audiences", {"api-key": made}
            return [(await each.get(path, headers))[0] for each in (first, second)] == [200, 200]

        await stage.until(is_good, "the key is known to both", 30)
        assert await answers({"api-key": made}) == {200}
        assert await answers({"Authorization": f"Bearer {made}"}) == {200}
        assert await answers({}) == {401}
        assert await answers({"x-turnstile-forwarded": "1"}) == {401}
        assert await answers({"api-key": "root"}, "one") == {200}
        assert await answers({"api-key": "one"}, "one") == {200}
        assert await answers({"api-key": "one"}) == {403}
        assert await answers({"api-key": made}, "one") == {403}
        again = await run(stage, "keys", "create", "app", "--scope", "lookup")
        assert (again.returncode, again.stdout) == (2, "")
        assert "turnstile keys rotate app" in again.stderr
        listed = await command(stage, "keys", "list")
        assert listed == "app  good  lookup  projects: default"
        assert made not in listed

        await command(stage, "keys", "revoke", "app")

        async def is_out() -> bool:
            return await answers({"api-key": made}) == {401}

        await stage.until(is_out, "the revocation is known to both", 30)
        assert "revoked" in await command(stage, "keys", "list")

        # Records that nobody can use let nobody in, and stop no worker.
        topic = f"{stage.prefix}.keys"
        for key, value in ((b"\xff", b"{}"), (b"deep", b"[" * 100_000), (b"gone", None)):
            await stage.producer.send_and_wait(topic, value, key)
        await stage.producer.flush()

        async def is_told() -> bool:
            body: Any = (await first.get("/readyz?verbose", root))[1]
            return len([each for each in body["warnings"] if each["code"] == "unusable_key"]) == 2

        await stage.until(is_told, "the warnings are shown", 30)
        assert await both_share(stage, first, second, **root)


async def test_any_id_is_answered_alike_by_owner_and_others(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=4) as stage:
        await stage.define(EVER)
        first, second = stage.worker("w1"), stage.worker("w2")
        for worker in (first, second):
            worker.start()
        await stage.until(lambda: both_share(stage, first, second), "both own partitions")
        now_ms = int(time.time() * 1000)
        for user in ODD:
            await stage.send(partition_of(user, stage.partitions), [view(user, now_ms)])
        await stage.reach(len(ODD))
        for user in ODD:
            name = quote(user, safe="")
            for path in (
                f"/v1/users/{name}/audiences",
                f"/v1/users/{name.replace('.', '%2E')}/audiences",
                f"/v1/users/-/audiences?user_id={name}",
            ):
                sent = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
                answers = [await talk(each.url, sent, 30) for each in (first, second)]
                for answer in answers:
                    assert answer.startswith(b"HTTP/1.1 200 "), (path, answer)
                    body = json.loads(answer.partition(b"\r\n\r\n")[2])
                    assert body["user_id"] == user
                    assert [each["id"] for each in body["audiences"]] == ["ever"], path
            for worker in (first, second):
                client = WorkerClient(worker.url, None, "default")
                assert (await asyncio.to_thread(client.get, "users", user))["user_id"] == user
                told = await asyncio.to_thread(client.get, "users", user, "explain", "ever")
                assert told["member"] is True
                assert (await asyncio.to_thread(client.get, "audiences", "ever", "members", user))["member"]
        for path in ("/v1/users//audiences", "/v1/users/%00/audiences", f"/v1/users/{'x' * 513}/audiences"):
            answers = [await each.get(path) for each in (first, second)]
            assert answers[0] == answers[1]
            assert answers[0][0] in (400, 404)
        looked = await run(stage, "lookup", "..", "ever", "--url", first.url)
        assert (looked.returncode, looked.stdout[:8]) == (0, "ever  in"), looked.stderr


@pytest.mark.parametrize("arguments", [["worker"], ["deliver"]])
async def test_a_process_that_cannot_listen_ends_with_one_plain_line(
    arguments: list[str], kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    section = "http" if arguments == ["worker"] else "deliver"
    (port,) = free_ports(1)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with server, scene(kafka, topic_prefix, tmp_path, partitions=1):
        given = environment(
            {
                "kafka.bootstrap": kafka,
                "topics.prefix": topic_prefix,
                "topics.create": True,
                "worker.app_id": topic_prefix,
                "worker.data_dir": str(tmp_path / "data"),
                f"{section}.port": port,
            }
        )
        done = await run_beside(*arguments, given=given)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{section}.port = {port}: another process listens on ")
