"""A process that only restores: ``agents.restore`` over all partitions (``bench recovery``)."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from pathlib import Path

from agents.restore import Restorer
from agents.steps import Limits
from app.settings import CacheSettings
from bench.kafka import new_consumer
from bench.processes import write_result
from bench.recovery import topics_of
from bench.worker import worker_plan
from tables.store import RocksMemory


async def run(bootstrap: str, name: str, partitions: int, folder: str, result: str) -> None:
    cache = CacheSettings()
    restorer = Restorer(
        lambda: new_consumer(bootstrap),
        Path(folder),
        RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes),
        topics_of(worker_plan(name), partitions),
        Limits(),
        max(1000, cache.rows // partitions),
    )
    began = time.monotonic()
    pipelines, _pending = await restorer.open(set(range(partitions)))
    seconds = time.monotonic() - began
    for pipeline in pipelines.values():
        pipeline.profiles.store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_result(result, {"rows": restorer.rows_restored, "seconds": seconds, "peak_rss_bytes": peak})


if __name__ == "__main__":
    _bootstrap, _name, _partitions, _folder, _result = sys.argv[1:]
    asyncio.run(run(_bootstrap, _name, int(_partitions), _folder, _result))
