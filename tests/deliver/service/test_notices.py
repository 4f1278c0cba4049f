"""Notices by real delivery workers: the one that tells is killed while its receiver doesn't answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path

from aiohttp import web

from agents.backfill.progress.progress import Progress, ProgressKey, State, encode_key, encode_progress
from agents.notices.addresses import AuthHeader, NotifyAddress, SendMode, address_record
from agents.registry.audiences import audience_record
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tests.stage.delivery import DelivererProcess, DeliveryScene, scene
from tests.stage.receiver import Receiver, receiver, status
from tests.stage.workers import Worker, until

AUDIENCES = """
audiences:
  - {id: fans, name: Fans, rule: {event: view}}
  - {id: daily, name: Daily, type: batch, schedule: daily, rule: {event: view}}
  - {id: fans, name: Fans, project: once, rule: {event: view}}
"""
PARTITIONS = 2
FAILED = {"REALTIME_AUDIENCE_COMPUTE_FAILED", "BATCH_AUDIENCE_COMPUTE_FAILED"}
THREE = ["BATCH_AUDIENCE_COMPUTE_SUCCESS", "BATCH_AUDIENCE_QUERY_READY", "REALTIME_AUDIENCE_QUERY_READY"]


class Stage:
    """Two delivery workers, and topics to which this test writes what workers would."""

    def __init__(self, stage: DeliveryScene, hook: Receiver) -> None:
        self._stage = stage
        self._hook = hook
        self.workers = [stage.deliverer(name) for name in ("d1", "d2")]

    async def address(self, project: str, mode: SendMode) -> None:
        headers = (AuthHeader("key1", "value1"),)
        now_ms = int(time.time() * 1000)
        address = NotifyAddress("n", f"{self._hook.url}/{project}", "API_KEY", mode, headers, 1, now_ms)
        await self._write("notify", *address_record(project, address))

    async def publish(self, version: int = 1) -> None:
        now_ms = int(time.time() * 1000)
        definitions = AUDIENCES if version == 1 else AUDIENCES.replace("view", "buy")
        for at, each in enumerate(load_definitions([("a.yaml", definitions)])):
            published = PublishedAudience(each, version, created_ms=now_ms + at)
            await self._write("audiences", *audience_record(published))

    async def tell(self, partition: int, state: State) -> None:
        now_ms = int(time.time() * 1000)
        for project, audience in (("default", "fans"), ("default", "daily"), ("once", "fans")):
            value = encode_progress(Progress(state, at_ms=now_ms, since_ms=now_ms))
            await self._write("progress", encode_key(ProgressKey(project, audience, 1, partition)), value)

    async def _write(self, topic: str, key: bytes, value: bytes | None) -> None:
        await self._stage.producer.send_and_wait(f"{self._stage.prefix}.{topic}", value, key)

    def telling(self) -> list[DelivererProcess]:
        return [each for each in self.workers if each.process is not None and each.logged("tells_notices")]

    async def lost(self, worker: DelivererProcess) -> bool:
        _, text = await worker.get("/metrics")
        return bool(re.search(r'^turnstile_notices_total\{outcome="lost"\} 1\.0$', text or "", re.MULTILINE))


async def test_a_kill_while_notices_are_sent_loses_none_that_is_retryable_and_repeats_none_that_is_not(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, PARTITIONS) as delivery, receiver() as hook:
        stage = Stage(delivery, hook)
        for each in stage.workers:
            each.start()
        for each in stage.workers:
            await until(each.is_ready, "it is ready", 40, stage.workers)
        await until(stage.telling, "one of them tells", 40, stage.workers)
        first = stage.telling()[0]
        (second,) = (each for each in stage.workers if each is not first)

        hook.answer = status(500)
        await stage.address("default", "RETRYABLE")
        await stage.publish()
        await stage.tell(0, "ready")
        await stage.tell(1, "cut")
        await until(lambda: hook.requests, "the batch audience is computed", 20, stage.workers)
        hung = asyncio.Event()

        async def never(request: web.Request, body: bytes) -> web.StreamResponse:
            hung.set()
            await asyncio.sleep(60)
            return web.Response()

        hook.answer = never
        await stage.address("once", "ONLY_ONCE_UNSPECIFIED")
        await stage.tell(1, "ready")
        await until(
            lambda: any(request.path.endswith("/once") for request, _ in hook.requests) and hung.is_set(),
            "both addresses are being asked",
            20,
            stage.workers,
        )
        first.kill()
        hook.answer = status(200)

        def codes() -> list[str]:
            return [each["type_code"] for each in hook.taken if each["project"] == "default"]

        await until(lambda: set(codes()) == set(THREE), "all came", 40, [second])
        await until(lambda: stage.lost(second), "the loss is counted", 20, [second])
        assert max(Counter(codes()).values()) == 1
        asked = [request.path.rsplit("/", 1)[1] for request, _ in hook.requests]
        assert asked.count("once") == 1
        request, _ = hook.requests[-1]
        assert (request.method, request.headers["key1"]) == ("POST", "value1")
        assert request.content_type == "application/json"
        assert {each["audience_version"] for each in hook.taken} == {1}


async def owns_one_each(workers: list[Worker]) -> bool:
    found = [await each.get("/readyz?verbose") for each in workers]
    return [len(body["partitions"]) for status, body in found if status == 200] == [1, 1]


async def test_partitions_of_two_workers_make_one_notice_and_so_does_their_silence(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, PARTITIONS) as delivery, receiver() as hook:
        stage = Stage(delivery, hook)
        teller = stage.workers[0]
        workers = [Worker(name, tmp_path, delivery.settings()) for name in ("w1", "w2")]
        try:
            for each in workers:
                each.start()
            await until(lambda: owns_one_each(workers), "each has a partition", 60, workers)
            teller.start()
            await until(teller.is_ready, "it is ready", 40, [teller])
            await stage.address("default", "RETRYABLE")
            await stage.publish()

            def codes(version: int) -> Counter[str]:
                of = [each for each in hook.taken if each["audience_version"] == version]
                return Counter(each["type_code"] for each in of)

            await until(
                lambda: codes(1).keys() == set(THREE), "the audiences are ready", 60, [*workers, teller]
            )
            for each in workers:
                each.kill()
            teller.end()
            teller.start(deliver__notices_stalled_seconds=1)
            await stage.publish(version=2)
            await until(lambda: codes(2).keys() >= FAILED, "nobody computes, and that is told", 60, [teller])
            assert codes(2).keys() == FAILED
            assert max((codes(1) + codes(2)).values()) == 1
        finally:
            for each in workers:
                if each.process is not None:
                    each.kill()
