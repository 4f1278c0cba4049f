"""Brokers that die while a worker works: it waits, goes on, and the output is that of a quiet day."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.kafka.apache import ApacheKafka
from tests.stage.log import AHEAD_MS, TAKES_AHEAD, make_log
from tests.stage.scene import progress, scene

SEED = 41


@pytest.mark.slow
async def test_a_broker_that_restarts_changes_nothing(
    kafka_node: ApacheKafka, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=20_000, users=1_500, start_ms=AHEAD_MS)
    async with scene(kafka_node.bootstrap, topic_prefix, tmp_path) as stage:
        await stage.define()
        first, second, third = log.portions(3)
        await stage.load(first)
        worker = stage.worker(worker__poll_records=20, **TAKES_AHEAD)
        worker.start()
        await progress(stage, 1000)
        kafka_node.kill()
        kafka_node.restart()
        await stage.load(second)
        await progress(stage, 1000)
        kafka_node.shut_down()
        kafka_node.restart()
        await stage.load(third)
        await stage.finished(180)
        await stage.assert_right(log)


@pytest.mark.slow
async def test_a_node_of_a_cluster_that_dies_changes_nothing(
    kafka_cluster: ApacheKafka, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED + 1, records=20_000, users=1_500, start_ms=AHEAD_MS)
    async with scene(kafka_cluster.bootstrap, topic_prefix, tmp_path, replication=3) as stage:
        await stage.define()
        first, second, third = log.portions(3)
        await stage.load(first)
        worker = stage.worker(worker__poll_records=20, **TAKES_AHEAD)
        worker.start()
        await progress(stage, 1000)
        kafka_cluster.kill(2)
        try:
            await stage.load(second)
            await progress(stage, 3000)
        finally:
            kafka_cluster.restart(2)
        await stage.load(third)
        await stage.finished(180)
        await stage.assert_right(log)
