"""Names of destinations are shared by all projects: what one of them left behind is nothing for another."""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp import ClientSession

from agents.deliver.definitions.published import destinations_topic
from tests.app.http.lab import api_key
from tests.stage.delivery import scene, transition
from tests.stage.receiver import receiver
from tests.stage.workers import until


async def test_a_name_gives_no_access_to_what_another_project_had_under_it(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    keys = [api_key("root", "admin"), api_key("two", "destinations", projects=["two"])]
    async with (
        scene(broker, topic_prefix, tmp_path, 1) as stage,
        receiver() as hook,
        ClientSession() as session,
    ):
        topic = destinations_topic(topic_prefix)
        await stage.make(topic, 1, **{"cleanup.policy": "compact"})
        await stage.producer.send_and_wait(topic, b"of a version to come", b"lost")
        letters = f"{topic_prefix}.deliver.mine.dlq"
        await stage.make(letters, 1)
        for project in ("one", "two"):
            (body,) = await stage.send([transition(f"user-of-{project}", 1)])
            await stage.producer.send_and_wait(letters, json.dumps({**body, "project": project}).encode())
        deliverer = stage.deliverer(http__api_keys=json.dumps(keys))
        deliverer.start()
        await until(deliverer.is_ready, "it is ready", 40, [deliverer])

        async def ask(key: str, path: str, method: str, data: str = "") -> tuple[int, dict[str, object]]:
            url = f"{deliverer.url}/v1/destinations/{path}"
            async with session.request(method, url, headers={"api-key": key}, data=data) as answer:
                return answer.status, await answer.json()

        def text(name: str, padding: str = "x") -> str:
            return (
                f"{{name: {name}, kind: webhook, project: two, description: '{padding}', "
                f"webhook: {{url: '{hook.url}'}}}}"
            )

        # Of what project the record is that can't be read, nobody knows.
        assert (await ask("two", "lost", "PUT", text("lost")))[0] == 403
        assert (await ask("root", "lost", "PUT", text("lost")))[0] == 200
        assert (await ask("two", "mine", "PUT", text("mine", "x" * 130 * 1024)))[0] == 413
        assert (await ask("two", "mine", "PUT", text("mine")))[0] == 201

        async def runs() -> bool:
            return (await ask("two", "mine", "GET"))[1].get("state") == "running"

        await until(runs, "it runs", 20, [deliverer])
        _, result = await ask("two", "mine:replay", "POST")
        assert (result["found"], result["delivered"], result["other_project"]) == (2, 1, 1)
        assert [each["user_id"] for each in hook.taken] == ["user-of-two"]
        deliverer.end()
