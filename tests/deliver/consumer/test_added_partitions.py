"""Partitions added to the transitions topic while deliverers run."""

from __future__ import annotations

from pathlib import Path

from tests.deliver.consumer.test_kafka_deliverer import caught_up, started, webhook
from tests.stage.delivery import many, scene
from tests.stage.receiver import receiver
from tests.stage.workers import until

GROWN = 8


async def test_added_partitions_are_delivered_from_their_beginning(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.define("destinations:\n" + webhook("hook", hook.url))
        deliverer = stage.deliverer(kafka__metadata_max_age_ms=500)
        deliverer.start()
        await started(stage, deliverer, "hook")
        first = await stage.send(many(200, users=100))
        await caught_up(stage, deliverer, "hook")
        await stage.grow(stage.transitions, GROWN)
        second = await stage.send(many(400, users=400))
        stage.partitions = GROWN
        await started(stage, deliverer, "hook")
        await caught_up(stage, deliverer, "hook")
        ids = {each["id"] for each in (*first, *second)}
        await until(lambda: set(hook.ids) == ids, "all came", 30, [deliverer])
        # Its partitions are known again after each start; what is committed is not sent again.
        deliverer.end()
        taken = len(hook.taken)
        deliverer.start()
        await started(stage, deliverer, "hook")
        await caught_up(stage, deliverer, "hook")
        deliverer.end()
        assert len(hook.taken) == taken
