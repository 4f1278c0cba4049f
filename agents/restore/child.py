"""The child process of ``agents.restore.ahead``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from pathlib import Path

import msgspec
import structlog

from agents.evaluate.steps import Limits
from agents.kafka.clients import new_consumer
from agents.kafka.consumed import use_light_records
from agents.restore.ahead import Job
from agents.restore.restorer import Restorer
from tables.store import RocksMemory

TELL_SECONDS = 0.5


async def run(job: Job) -> None:
    """Bring the job's stores up to date and close them; prints how many rows came in, as it goes."""
    restorer = Restorer(
        lambda: new_consumer(job.broker),
        Path(job.directory),
        RocksMemory.of(job.block_cache_bytes, job.write_buffer_bytes),
        job.topics,
        Limits(),
        cache_rows=1,
    )
    telling = asyncio.create_task(_tell(restorer))
    try:
        pipelines, _ = await restorer.open(set(job.partitions))
    finally:
        telling.cancel()
    for pipeline in pipelines.values():
        pipeline.profiles.store.close()
    print(restorer.rows_restored, flush=True)


async def _tell(restorer: Restorer) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        print(restorer.rows_restored, flush=True)


def _end_with_parent() -> None:
    """Standard input ends when the worker does, however it ends; a store's lock must not outlive it."""
    while os.read(sys.stdin.fileno(), 1024):  # not the buffered one: its lock would break the orderly end
        pass
    os._exit(1)


if __name__ == "__main__":
    _job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    use_light_records()
    asyncio.run(run(_job))
