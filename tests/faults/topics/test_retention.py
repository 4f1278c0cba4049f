"""Records that retention takes before a worker has read them are counted and told, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from tests.stage.log import START_MS, view
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

SEEN = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"


async def send(stage: Scene, first: int, count: int) -> None:
    await stage.send(0, [view(f"u{each}", START_MS + each) for each in range(first, first + count)])


async def delete(stage: Scene, before: int) -> None:
    await stage.admin.delete_records({TopicPartition(stage.events, 0): RecordsToDelete(before_offset=before)})


async def lost(worker: Worker) -> tuple[float, list[str]]:
    """What the counter says, and what /readyz?verbose tells."""
    _, body = await worker.get("/readyz?verbose")
    _, metrics = await worker.get("/metrics")
    counted = [line for line in metrics.splitlines() if line.startswith("turnstile_records_lost_total{")]
    told = [each["text"] for each in body["warnings"] if each["code"] == "records_lost"]
    return sum(float(line.split()[-1]) for line in counted), told


async def test_what_retention_took_is_told_at_the_start_and_while_reading(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(SEEN)
        await send(stage, 0, 10)
        worker = stage.worker(kafka__session_timeout_ms=30_000)
        worker.start()
        await stage.finished()
        assert await lost(worker) == (0, [])
        worker.stop()
        # At the start: offsets 10 to 16 are gone.
        await send(stage, 10, 10)
        await delete(stage, 17)
        worker.start()
        await stage.finished()
        count, (text,) = await lost(worker)
        assert count == 7
        assert f"7 records of {stage.events}/0 (offsets 10 to 16) were gone before they could be read" in text
        assert worker.logged("records_lost")
        # While reading: the answer to one fetch lies in the socket, the next one comes too late. Where the
        # answer had gone out empty just before, the next one lacks the first five, too.
        worker.freeze(True)
        await send(stage, 20, 5)
        await asyncio.sleep(0.5)
        await send(stage, 25, 10)
        await delete(stage, 32)
        worker.freeze(False)
        await stage.finished()
        count, (text,) = await lost(worker)
        taken = 5 if "(offsets 25 to 31)" in text else 0
        assert f"(offsets {20 + taken} to 31)" in text
        assert count == 7 + 12 - taken
        assert await stage.total(stage.transitions) == 10 + 3 + taken + 3
        worker.stop()
        # All gone, and nothing to read: told by one start only.
        await send(stage, 35, 4)
        await delete(stage, 39)
        worker.start()
        await worker.wait_ready()

        async def is_told() -> bool:
            return (await lost(worker))[0] == 4

        await stage.until(is_told, "the last four are told", 20)
        worker.stop()
        worker.start()
        await worker.wait_ready()
        await send(stage, 39, 1)
        await stage.finished()
        assert await lost(worker) == (0, [])
        worker.stop()
