"""``turnstile import`` on a real broker, and the history as a reader takes it."""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from typer.testing import CliRunner

from agents.backfill.history.imports import Import, Imports, runs_of
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.erasures import receipt_of, receipt_record
from agents.registry.topic import publish, read_all
from agents.topics import create_topics, existing
from agents.topics.look import look
from app.cli import cli
from app.failures import FAILED, message_for_users
from tables.erased import Erased, pseudonym
from tests.stage.workers import environment

START_MS = 1_600_000_000_000
END_SECONDS = 180.0


def line(user: str, at_ms: int, **properties: object) -> str:
    return json.dumps({"user_id": user, "event": "buy", "time": at_ms, "properties": properties})


@dataclass(frozen=True)
class Read:
    """A record of the history as a reader takes it."""

    timestamp: int
    key: str
    value: dict[str, object] = field(hash=False)


class ImportLab:
    """``run`` gives a command's exit code and all that it wrote."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, partitions: int = 3) -> None:
        self.broker = Broker(bootstrap)
        self.prefix = prefix
        self.folder = folder
        self.partitions = partitions
        self.topic = f"{prefix}.history"
        self.environment = environment(
            {
                "kafka.bootstrap": bootstrap,
                "topics.prefix": prefix,
                "topics.partitions": str(partitions),
                "topics.create": "true",
                "worker.app_id": prefix,
            }
        )

    def file(self, name: str, lines: Iterable[str], end: str = "\n") -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("\n".join(lines) + end)
        return path

    def run(self, *arguments: object, **variables: str) -> tuple[int, str]:
        """In this process, which is faster than a new one."""
        runner = CliRunner(env={**self.environment, **variables})
        ran = runner.invoke(cli, ["import", *map(str, arguments)])
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            message = message_for_users(ran.exception)
            if message is None:
                raise ran.exception
            return FAILED, ran.output + message
        return ran.exit_code, ran.output

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-c", "from app.main import main; main()", "import", *map(str, arguments)]
        return subprocess.Popen(
            program, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Wait for what ``start`` began; it is killed when it doesn't end."""
        try:
            out, _ = process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            raise AssertionError(f"it doesn't end: {out.decode()}") from None
        return process.returncode, out.decode()

    async def send(self, topic: str, partition: int, user: str, timestamp_ms: int) -> None:
        """A record of a source topic, which is made if it isn't there."""
        async with new_producer(self.broker, idempotence=False) as producer:
            await _send(producer, topic, partition, user, timestamp_ms)

    async def erase(self, user: str) -> None:
        """Write the receipt of an erasure, as a worker does."""
        topic = f"{self.prefix}.erasures"
        admin = new_admin(self.broker)
        await admin.start()
        try:
            if topic not in await existing(admin):
                await create_topics(admin, {topic: (1, {})}, 1)
        finally:
            await admin.close()
        erased = Erased(time.time_ns() // 1_000_000, {}, {}, ["r"], "default", (0, 0))
        async with new_producer(self.broker, idempotence=False) as producer:
            await publish(producer, topic, [receipt_record(receipt_of(pseudonym(user.encode()), erased, 0))])

    async def imports(self) -> list[Import]:
        async with new_consumer(self.broker) as consumer:
            found = await read_all(consumer, Imports(f"{self.prefix}.imports"))
        return sorted(found.published.values(), key=lambda each: each.begun_ms)

    async def history(self) -> list[list[Read]]:
        """By partition."""
        admin = new_admin(self.broker)
        await admin.start()
        try:
            partitions = (await look(admin, [self.topic])).topics[self.topic].partitions
        finally:
            await admin.close()
        imports = await self.imports()
        async with new_consumer(self.broker) as consumer:
            return [await self._partition(consumer, imports, each) for each in range(partitions)]

    async def records(self) -> int:
        """How many lie in the topic, whether they count or not."""
        async with new_consumer(self.broker) as consumer:
            tps = [TopicPartition(self.topic, each) for each in range(self.partitions)]
            return sum((await consumer.end_offsets(tps)).values())

    async def _partition(
        self, consumer: AIOKafkaConsumer, imports: Sequence[Import], partition: int
    ) -> list[Read]:
        tp = TopicPartition(self.topic, partition)
        end = (await consumer.end_offsets([tp]))[tp]
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        log = []
        while await consumer.position(tp) < end:
            log += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        at = {each.offset: each for each in log}
        runs = []
        for run in runs_of(self.topic, partition, 0, end, imports):
            taken = []
            for piece in run.pieces:
                counts = piece.filter()
                taken += [
                    (at[offset].timestamp, offset)
                    for offset in range(piece.begin, piece.end)
                    if offset in at and counts(at[offset].headers)
                ]
            runs.append(taken)
        return [
            Read(timestamp, (at[offset].key or b"").decode(), json.loads(at[offset].value or b""))
            for timestamp, offset in heapq.merge(*runs)
        ]


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, user: str, timestamp_ms: int) -> None:
    value = json.dumps({"user_id": user, "event": "buy", "properties": {}}).encode()
    await producer.send_and_wait(topic, value, user.encode(), partition=partition, timestamp_ms=timestamp_ms)
