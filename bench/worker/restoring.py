"""A process that only restores: ``agents.restore.restorer`` over all partitions (``bench recovery``)."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from pathlib import Path

from agents.evaluate.steps import Limits
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.kafka.consumed import use_light_records
from agents.restore.ahead import Job
from agents.restore.restorer import Restorer
from app.settings.tree import CacheSettings
from bench.processes import write_result
from bench.worker.ours import worker_plan
from bench.worker.recovery import topics_of
from tables.store import RocksMemory


async def run(bootstrap: str, name: str, partitions: int, folder: str, result: str, processes: str) -> None:
    use_light_records()
    cache, broker = CacheSettings(), Broker(bootstrap)
    topics = topics_of(worker_plan(name), partitions)
    ahead = Job(broker, topics, folder, cache.block_bytes, cache.write_buffer_bytes)
    restorer = Restorer(
        lambda: new_consumer(broker),
        Path(folder),
        RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes),
        topics,
        Limits(),
        max(1000, cache.rows // partitions),
        ahead if processes == "all" else None,
    )
    began = time.monotonic()
    pipelines, _pending = await restorer.open(set(range(partitions)))
    seconds = time.monotonic() - began
    for pipeline in pipelines.values():
        pipeline.profiles.store.close()
    peak = sum(
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    write_result(result, {"rows": restorer.rows_restored, "seconds": seconds, "peak_rss_bytes": peak})


if __name__ == "__main__":
    _bootstrap, _name, _partitions, _folder, _result, _processes = sys.argv[1:]
    asyncio.run(run(_bootstrap, _name, int(_partitions), _folder, _result, _processes))
