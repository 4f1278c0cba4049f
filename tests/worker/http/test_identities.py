"""Users are found by their identities, by any process, whatever happens to workers and disks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from typer.testing import CliRunner

from agents.kafka.placement import partition_of
from app.cli import cli
from tests.stage.log import Line
from tests.stage.readers import reader_of
from tests.stage.scene import Scene, scene
from tests.stage.topics import delete_topics
from tests.stage.workers import Worker

EVER = "audiences: [{id: ever, name: Ever, rule: {event: view}}]"
USERS = [f"u{number}" for number in range(12)]


async def identities_rebuild(worker: Worker) -> dict[str, int]:
    """What ``turnstile identities rebuild`` says."""
    words = ["identities", "rebuild", "--json", "--url", worker.url]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    assert result.exit_code == 0, result.output
    told: dict[str, int] = json.loads(result.stdout)
    return told


async def claim(stage: Scene, of: Mapping[str, Mapping[str, str | None]]) -> None:
    """A view of each of these users with identities."""
    for user, identities in of.items():
        body = {"user_id": user, "event": "view", "identities": identities}
        line = Line(int(time.time() * 1000), user.encode(), json.dumps(body).encode())
        await stage.send(partition_of(user, stage.partitions), [line])


async def resolved(worker: Worker, emails: list[str], namespace: str = "email") -> list[str | None] | None:
    """Whose these are; ``?`` where nobody can say it now. None: the worker doesn't answer."""
    status, body = await worker.post(
        "/v1/identities:resolve", {"identities": [{namespace: each} for each in emails]}
    )
    if status != 200:
        assert status in (0, 503), body
        return None
    told = body["identities"]
    assert all((each["as_of"] is None) == (each["status"] == "unavailable") for each in told)
    return ["?" if each["status"] == "unavailable" else each["user_id"] for each in told]


async def test_identities_are_found_over_two_workers_a_kill_and_a_lost_disk(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    emails = [f"{user}@example.com" for user in USERS]
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(EVER)
        first, second = (stage.worker(name, worker__id=name) for name in ("w1", "w2"))
        reader = reader_of(stage)
        first.start()
        second.start()

        async def both_share() -> bool:
            for each in (first, second):
                status, body = await each.get("/readyz?verbose")
                if status != 200 or len(body["partitions"]) != 1:
                    return False
            return True

        async def all_are(wanted: list[str]) -> bool:
            """Whether all say this; nothing else than ``USERS`` or silence may come before."""
            for worker in (first, second, reader):
                found = await resolved(worker, emails)
                if found is None:
                    return False
                for each, before, after in zip(found, known, wanted, strict=True):
                    assert each in ("?", before, after), f"{worker.name} tells of {each}"
                if found != wanted:
                    return False
            return True

        await stage.until(both_share, "each has a partition")
        reader.start()
        given = zip(USERS, emails, strict=True)
        await claim(stage, {user: {"email": email, "device": f"of {user}"} for user, email in given})
        known: list[str | None] = [None] * len(USERS)
        await stage.until(lambda: all_are(USERS), "all are found")
        known = [*USERS]

        by_email = f"/v1/users/{quote('email:' + emails[3], safe='')}/audiences?by=identity"
        for worker in (first, second):
            status, body = await worker.get(by_email)
            assert (status, body["user_id"]) == (200, "u3")
            named = [{"identity": {"email": each}} for each in (*emails, "nobody@example.com")]
            status, body = await worker.post("/v1/lookup", {"users": named, "audiences": ["ever"]})
            assert [each["user_id"] for each in body["users"]] == [*USERS, None]
            assert [each["status"] for each in body["users"]] == ["ok"] * len(USERS) + ["unknown_user"]
            assert all("resolved_as_of" in each for each in body["users"])

        # Each is claimed by the next user; the claims are on their way when one worker dies.
        wanted = [*USERS[1:], USERS[0]]
        await claim(stage, {user: {"email": email} for user, email in zip(wanted, emails, strict=True)})
        second.kill()
        second.wipe()
        second.start()
        await stage.until(lambda: all_are(wanted), "the claims of the next users hold")
        known = [*wanted]

        status, body = await first.get("/v1/identities/collisions?limit=5")
        assert status == 200
        following = (await first.get(f"/v1/identities/collisions?limit=50&after={body['next']}"))[1]
        collisions = [*body["collisions"], *following["collisions"]]
        assert sorted(each["identity"]["email"] for each in collisions) == sorted(emails)
        assert {each["claimants"] for each in collisions} == {2}

        await claim(stage, {user: {"email": None} for user in USERS})
        await stage.until(lambda: all_are(USERS), "whoever had it before has it again")

        first.kill()
        second.kill()
        asked = {"users": named, "audiences": ["ever"], "attributes": True}
        status, body = await reader.post("/v1/lookup", asked)
        assert [each["user_id"] for each in body["users"]] == [*USERS, None]
        assert [each.get("attributes") for each in body["users"]] == [*([{}] * len(USERS)), None]
        assert all(each["reader"] for each in body["users"][:-1])
        status, body = await reader.get(by_email)
        assert (status, body["user_id"], body["reader"]) == (200, "u3", True)
        status, body = await reader.get("/v1/identities/collisions")
        assert (status, body["collisions"]) == (200, [])

        # The topic is made again; what rows have is claimed again, and lookups say nothing wrong meanwhile.
        topic = f"{stage.prefix}.identities"
        await delete_topics(stage.admin, [topic])
        first.start()

        async def are_found(wanted: list[str | None]) -> bool:
            devices = [f"of {user}" for user in USERS]
            return [await resolved(each, devices, "device") for each in (first, reader)] == [wanted, wanted]

        await stage.until(lambda: are_found([None] * len(USERS)), "all is forgotten")
        assert await identities_rebuild(first) == {"rows": len(USERS), "claims": len(USERS)}
        await stage.until(lambda: are_found([*USERS]), "what rows have is found again")
        assert await identities_rebuild(first) == {"rows": len(USERS), "claims": 0}
