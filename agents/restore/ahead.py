"""Recovery on all cores: processes of their own bring stores near the ends of their changelogs.

Reading records and writing to RocksDB hold Python's lock, so one process restores what one core can. Each
child gets some partitions, brings them up to date as the worker itself would (``agents.restore.restorer``),
closes them and ends. What lacks then the worker reads as always: nothing depends on a child having done its
work.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

import msgspec
import structlog
from msgspec.structs import replace

from agents.kafka.broker import Broker
from agents.topics.written import WrittenTopics

log = structlog.get_logger("turnstile.restore")

RECORDS = 200_000
"""With fewer to read the children's start costs more than they bring."""
PROCESSES = 4
"""At most: more would wait for disk and broker."""


class Job(msgspec.Struct, frozen=True):
    """What one child does; it comes through standard input, because the broker's password may be in it."""

    broker: Broker
    topics: WrittenTopics
    directory: str
    block_cache_bytes: int
    write_buffer_bytes: int
    partitions: list[int] = []


def shares(behind: Mapping[int, int], processes: int) -> list[list[int]]:
    """The partitions of each process; those with most records to read are dealt first."""
    lots: list[tuple[int, list[int]]] = [(0, []) for _ in range(min(processes, PROCESSES, len(behind)))]
    for partition in sorted(behind, key=lambda each: (-behind[each], each)):
        at = min(range(len(lots)), key=lambda each: lots[each][0])
        lots[at] = lots[at][0] + behind[partition], [*lots[at][1], partition]
    return [partitions for _, partitions in lots]


async def restore_ahead(job: Job, lots: list[list[int]], restored: Callable[[int], None]) -> None:
    """Run a child for each lot of partitions; together they get the memory that the job has.

    ``restored`` is told how many rows came in since it was told last.
    """
    async with asyncio.TaskGroup() as children:
        for lot in lots:
            share = replace(
                job,
                partitions=lot,
                block_cache_bytes=job.block_cache_bytes // len(lots),
                write_buffer_bytes=job.write_buffer_bytes // len(lots),
            )
            children.create_task(_run(share, restored))


async def _run(job: Job, restored: Callable[[int], None]) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agents.restore.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    rows = 0
    try:
        child.stdin.write(msgspec.json.encode(job) + b"\n")
        async for line in child.stdout:
            restored(int(line) - rows)
            rows = int(line)
        if code := await child.wait():
            log.warning("restore_ahead_failed", partitions=job.partitions, exit_code=code)
    finally:
        if child.returncode is None:
            child.kill()  # a store left half written is whole: RocksDB has its log
            await child.wait()
        child.stdin.close()
