"""Destinations that are lost with their topic stop the deliverer; published again they go on."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from agents.deliver.names import destinations_topic
from agents.topics import existing
from tests.deliver.receiver import receiver
from tests.deliver.scene import many, scene, transition
from tests.faults.workers import COMMAND, environment, until


async def test_lost_destinations_stop_the_deliverer_and_go_on_when_published_again(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        text = json.dumps({"name": "crm", "kind": "webhook", "webhook": {"url": hook.url}})
        await stage.define(text)
        deliverer = stage.deliverer()
        deliverer.start()

        async def is_running() -> bool:
            return len((await deliverer.status("crm"))["partitions"]) == stage.partitions

        await until(is_running, "it delivers", 60, [deliverer])
        sent = await stage.send(many(20))
        await until(lambda: stage.is_committed("crm"), "all is committed", 60, [deliverer])
        deliverer.end()
        topic = destinations_topic(topic_prefix)
        await stage.admin.delete_topics([topic])

        async def is_gone() -> bool:
            return topic not in await existing(stage.admin)

        await until(is_gone, "the topic is gone")
        more = await stage.send(transition(f"v{number}", 1) for number in range(20))
        deliverer.start()
        process = deliverer.process
        assert process is not None
        await until(deliverer.ended, "it ends by itself", 60)
        deliverer.process = None
        assert process.returncode == 2, deliverer.log()
        said = deliverer.log()
        assert f"{topic} does not hold the destinations crm" in said
        assert "turnstile destinations apply" in said
        assert "Traceback" not in said
        (tmp_path / "crm.yaml").write_text(text)
        arguments = [*COMMAND, "destinations", "apply", str(tmp_path / "crm.yaml")]
        applied = await asyncio.to_thread(
            subprocess.run, arguments, env=environment(deliverer.settings), capture_output=True, text=True
        )
        assert applied.returncode == 0, applied.stderr
        deliverer.start()
        await until(lambda: stage.is_committed("crm"), "all is committed", 60, [deliverer])
        assert sorted(hook.ids) == sorted(each["id"] for each in [*sent, *more])
