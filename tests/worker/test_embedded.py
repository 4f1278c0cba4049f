"""A worker on the embedded broker: no Java, the same transitions, a clean end."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stage.log import make_log
from tests.stage.scene import scene


async def test_a_worker_runs_on_the_embedded_broker(embedded: str, topic_prefix: str, tmp_path: Path) -> None:
    log = make_log(3, records=2_000, users=300, partitions=2)
    async with scene(embedded, topic_prefix, tmp_path, partitions=2, idempotence=False) as stage:
        await stage.define()
        await stage.load(log)
        worker = stage.worker(kafka__idempotence=False, kafka__rebalance_timeout_ms=4000)
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log)
        assert outcome.repeats == 0
        assert len(outcome.bodies) > 1000
        worker.stop()
        worker.start()
        await stage.finished()
        worker.stop()
        again = await stage.outcome()
        assert again.bodies == outcome.bodies, json.dumps(len(again.bodies))
