"""A target that is a Kafka topic: a list is one transaction, with a record at its end that says so."""

from __future__ import annotations

import json

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.pushes.contract.push import Push
from agents.pushes.contract.rows import read_frames
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import Delivered, Progress, QueueName, TargetRefused, TargetUnavailable

END = b"end"


class TopicTarget:
    """One topic of one partition. ``refuses`` and ``unavailable`` are what it says before it takes a list."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self.refuses = ""
        self.unavailable = 0
        self.asked = 0

    @property
    def queue(self) -> QueueName:
        return "kafka"

    async def deliver(self, spooled: SpooledList, progress: Progress) -> Delivered:
        self.asked += 1
        if self.refuses:
            raise TargetRefused(self.refuses)
        if self.unavailable:
            self.unavailable -= 1
            raise TargetUnavailable("it is being mended")
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=f"push-{spooled.run_id}",
            transaction_timeout_ms=10_000,
        )
        await producer.start()
        try:
            if found := await self.find(spooled.push, spooled.run_id, spooled.list_id):
                return found
            async with producer.transaction():
                rows = 0
                for part in spooled.parts:
                    with part.path.open("rb") as file:
                        for key, value in read_frames(file):
                            headers = [("list", spooled.list_id.encode())]
                            await producer.send(self._topic, value, key, 0, headers=headers)
                            rows += 1
                            progress(rows)
                said = json.dumps({"list": spooled.list_id, "rows": rows, "bytes": spooled.bytes}).encode()
                await producer.send(self._topic, said, END, 0)
        finally:
            await producer.stop()
        return Delivered(spooled.list_id, (self._topic,), rows, spooled.bytes)

    async def find(self, push: Push, run_id: str, list_id: str) -> Delivered | None:
        for key, value, _ in await read_topic(self._bootstrap, self._topic):
            if key == END and (said := json.loads(value))["list"] == list_id:
                return Delivered(list_id, (self._topic,), said["rows"], said["bytes"])
        return None

    async def close(self) -> None:
        pass


class OneTopic:
    """All pushes go to one topic."""

    def __init__(self, target: TopicTarget) -> None:
        self.target = target

    def queue_of(self, push: Push) -> QueueName:
        return "kafka"

    async def of(self, push: Push) -> TopicTarget:
        return self.target


async def read_topic(bootstrap: str, topic: str) -> list[tuple[bytes, bytes, str]]:
    """Key, value and list of each committed record."""
    found = []
    tp = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed") as consumer:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                headers = dict(record.headers)
                found.append((record.key, record.value, headers.get("list", b"").decode()))
    return found
