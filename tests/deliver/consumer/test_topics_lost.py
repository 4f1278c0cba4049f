"""Under a deliverer: destinations that are lost with their topic, transitions that are made again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.deliver.definitions.published import group_name
from agents.topics.delivery import destinations_topic
from tests.stage.commands import run_beside
from tests.stage.delivery import DelivererProcess, many, scene, transition
from tests.stage.receiver import receiver
from tests.stage.topics import delete_topics
from tests.stage.workers import environment, until


async def test_lost_destinations_stop_the_deliverer_and_go_on_when_published_again(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        text = json.dumps({"name": "crm", "kind": "webhook", "webhook": {"url": hook.url}})
        await stage.define(text)
        deliverer = stage.deliverer()
        deliverer.start()
        await until(lambda: started(deliverer, stage.partitions), "it delivers", 60, [deliverer])
        sent = await stage.send(many(20))
        await until(lambda: stage.is_committed("crm"), "all is committed", 60, [deliverer])
        deliverer.end()
        topic = destinations_topic(topic_prefix)
        await delete_topics(stage.admin, [topic])
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
        arguments = ("destinations", "apply", str(tmp_path / "crm.yaml"))
        applied = await run_beside(*arguments, given=environment(deliverer.settings))
        assert applied.returncode == 0, applied.stderr
        deliverer.start()
        await until(lambda: stage.is_committed("crm"), "all is committed", 60, [deliverer])
        assert sorted(hook.ids) == sorted(each["id"] for each in [*sent, *more])


async def test_a_destination_whose_only_record_can_not_be_read_is_not_lost(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        topic = destinations_topic(topic_prefix)
        await stage.make(topic, 1, **{"cleanup.policy": "compact"})
        await stage.producer.send_and_wait(topic, b"not a definition", b"crm")
        tp = TopicPartition(stage.transitions, 0)
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id=group_name(topic_prefix, "crm"), enable_auto_commit=False
        ) as delivered:
            delivered.assign([tp])
            await delivered.commit({tp: 0})
        deliverer = stage.deliverer()
        deliverer.start()

        async def is_told() -> bool:
            status, body = await deliverer.get("/readyz?verbose")
            return status == 200 and [each["code"] for each in body["warnings"]] == ["destination_unreadable"]

        await until(is_told, "it runs, and warns of the record", 60, [deliverer])
        await asyncio.sleep(1)
        deliverer.check()
        deliverer.end()


async def test_transitions_that_are_made_again_are_delivered_from_their_beginning(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, 2) as stage, receiver() as hook:
        await stage.send(many(30))  # before the destination begins: at offsets that the new topic has, too
        await stage.define(json.dumps({"name": "crm", "kind": "webhook", "webhook": {"url": hook.url}}))
        deliverer = stage.deliverer()
        deliverer.start()
        await until(lambda: started(deliverer, stage.partitions), "it delivers", 60, [deliverer])
        deliverer.end()
        await delete_topics(stage.admin, [stage.transitions])
        await stage.make(stage.transitions)
        await stage.producer.client.force_metadata_update()
        sent = await stage.send(transition(f"v{number}", 1) for number in range(100))
        # What a deliverer commits that did not notice yet.
        async with AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id=f"{topic_prefix}.deliver.crm", enable_auto_commit=False
        ) as group:
            group.assign([TopicPartition(stage.transitions, 0)])
            await group.commit({TopicPartition(stage.transitions, 0): 25})
        deliverer.start()
        await until(lambda: len(hook.ids) >= len(sent), "all of the new topic comes", 15, [deliverer])
        deliverer.end()
        deliverer.start()
        await until(lambda: started(deliverer, stage.partitions), "it delivers again", 60, [deliverer])
        await until(lambda: stage.is_committed("crm"), "all is committed", 60, [deliverer])
        deliverer.end()
        assert sorted(hook.ids) == sorted(each["id"] for each in sent), "each once"


async def started(deliverer: DelivererProcess, partitions: int) -> bool:
    return len((await deliverer.status("crm"))["partitions"]) == partitions
