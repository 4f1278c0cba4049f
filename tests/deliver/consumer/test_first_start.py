"""Where a new destination begins when its first start comes to nothing; one that crashes beside others."""

from __future__ import annotations

from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from agents.deliver.definitions.published import destinations_topic
from agents.deliver.definitions.starts import decode_start, start_key
from tests.deliver.consumer.test_kafka_deliverer import started, webhook
from tests.stage.delivery import DeliveryScene, many, scene, transition
from tests.stage.receiver import receiver
from tests.stage.workers import until


async def test_one_that_its_group_does_not_let_in_crashes_alone_and_begins_where_it_was_first_seen(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook, receiver() as other:
        await stage.send(many(8))
        await stage.define("destinations:\n" + webhook("crm", hook.url) + webhook("other", other.url))
        # A stranger in its group that shares partitions out in another way: nobody else is let in.
        stranger = AIOKafkaConsumer(
            stage.transitions,
            bootstrap_servers=kafka,
            group_id=f"{topic_prefix}.deliver.crm",
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
        )
        await stranger.start()
        deliverer = stage.deliverer()

        async def crashed() -> bool:
            found = await deliverer.status("crm")
            assert found["state"] != "running"
            return found["state"] == "crashed" and "InconsistentGroupProtocol" in found["last_error"]["error"]

        try:
            deliverer.start()
            await until(lambda: is_decided(stage, "crm"), "the start is decided", 30, [deliverer])
            await started(stage, deliverer, "other")
            sent = await stage.send(transition(f"m{user}", 1) for user in range(20))
            await until(crashed, "it says why it is down", 20, [deliverer])
            await until(lambda: len(other.taken) == 20, "the other gets all", 20, [deliverer])
            assert (await deliverer.status("other"))["state"] == "running"
            _, metrics = await deliverer.get("/metrics")
            assert 'turnstile_delivery_up{destination="crm"} 0.0' in metrics
            deliverer.kill()
        finally:
            await stranger.stop()
        assert not hook.taken
        deliverer.start()
        await started(stage, deliverer, "crm")
        sent += await stage.send([transition("late", 1)])
        await until(lambda: len(hook.taken) >= len(sent), "all that came since is there", 20, [deliverer])
        assert sorted(hook.ids) == sorted(each["id"] for each in sent)
        deliverer.end()


async def is_decided(stage: DeliveryScene, name: str) -> bool:
    for record in await stage.read(destinations_topic(stage.prefix)):
        if record.key == start_key(name):
            return sorted(decode_start(record.value or b"").offsets) == list(range(stage.partitions))
    return False
