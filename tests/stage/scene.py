"""A log in Kafka, workers on it, and what they wrote: the stage of every test of faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from agents.registry.audiences import publish_audiences
from agents.topics import create_topics
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tests.stage.compare import Outcome, Reference, assert_same, assert_same_order
from tests.stage.log import DEFINITIONS, Line, Log
from tests.stage.topics import grow
from tests.stage.workers import Worker, until

KEPT = {"retention.ms": "-1"}
"""For topics whose records bear old timestamps: by default Kafka would delete them under the test."""
LOOKUPS = 200
SETTLED_SECONDS = 0.5
MEMBER_LISTS = 20
"""Of so many audiences all members are asked for."""


class Scene:
    """Topics with a prefix of their own. Use ``scene`` to make one."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, partitions: int, replication: int) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.partitions = partitions
        self.replication = replication
        self.events = f"{prefix}.events"
        self.transitions = f"{prefix}.transitions"
        self.changelog = f"{prefix}-profiles-changelog"
        self.dead_letters = f"{self.events}.dlq"
        self.repartition = f"{prefix}.rekeyed"
        self.counts = {f"{prefix}.audiences": 1}
        """Partitions of topics that have another number than ``partitions``."""
        self.workers: list[Worker] = []
        self.admin: AIOKafkaAdminClient
        self.producer: AIOKafkaProducer
        self.consumer: AIOKafkaConsumer
        self.group: AIOKafkaConsumer

    # -- before ----------------------------------------------------------------------------------------

    async def make_topics(self) -> None:
        many = (self.partitions, KEPT)
        wanted = {self.events: many, self.transitions: many, self.repartition: many}
        wanted[f"{self.prefix}.audiences"] = (1, {"cleanup.policy": "compact"})
        await create_topics(self.admin, wanted, self.replication)

    async def make(self, topic: str, partitions: int, configs: Mapping[str, str] = KEPT) -> None:
        await create_topics(self.admin, {topic: (partitions, configs)}, self.replication)
        self.counts[topic] = partitions

    async def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, up to this number; the producer uses them at once."""
        await grow(self.admin, topic, partitions, self.producer)
        self.counts[topic] = partitions

    async def define(
        self, definitions: str = DEFINITIONS, version: int = 1, deleted: Iterable[str] = ()
    ) -> None:
        audiences = load_definitions([("test.yaml", definitions)])
        gone = set(deleted)
        published = [PublishedAudience(each, version, each.id in gone) for each in audiences]
        await publish_audiences(self.producer, f"{self.prefix}.audiences", published)

    async def load(self, log: Log) -> None:
        """Write the whole log, every partition in order."""
        await asyncio.gather(*(self.send(number, lines) for number, lines in enumerate(log.parts)))

    async def send(self, partition: int, lines: Iterable[Line], headers: Any = ()) -> None:
        """Write lines to one partition, in order."""
        batch = self.producer.create_batch()
        sent = []
        for line in lines:
            record = {
                "key": line.key,
                "value": line.value,
                "timestamp": line.timestamp,
                "headers": list(headers),
            }
            if batch.append(**record) is None:
                sent.append(await self.producer.send_batch(batch, self.events, partition=partition))
                batch = self.producer.create_batch()
                batch.append(**record)
        sent.append(await self.producer.send_batch(batch, self.events, partition=partition))
        await asyncio.gather(*sent)

    # -- workers ---------------------------------------------------------------------------------------

    def worker(self, name: str = "w1", **changed: object) -> Worker:
        """A worker that is not started; ``changed`` are settings with ``__`` for the dot."""
        settings: dict[str, object] = {
            "kafka.bootstrap": self.bootstrap,
            "kafka.session_timeout_ms": 6000,
            "kafka.rebalance_timeout_ms": 20_000,
            "kafka.heartbeat_interval_ms": 500,
            "topics.prefix": self.prefix,
            "topics.partitions": self.partitions,
            "topics.create": True,
            "topics.replication": self.replication,
            "worker.app_id": self.prefix,
            **{key.replace("__", "."): value for key, value in changed.items()},
        }
        worker = Worker(name, self.folder, settings)
        self.workers.append(worker)
        return worker

    def running(self) -> list[Worker]:
        return [each for each in self.workers if each.process is not None]

    async def until(
        self, condition: Callable[[], Any], what: str, seconds: float = 90, at_once: bool = False
    ) -> None:
        await until(condition, what, seconds, self.running(), at_once)

    async def until_ended(self, worker: Worker, seconds: float = 60) -> None:
        """Wait until a worker ends by itself, as it must."""
        await until(worker.ended, f"{worker.name} ended", seconds)
        worker.process = None

    async def finished(self, seconds: float = 120) -> None:
        """Wait until all records are committed and all timers that lie in the past have fired."""
        await self.until(self.is_committed, "every source offset is committed", seconds)
        await self.until(self._is_quiet, "every timer in the past has fired", seconds)

    async def is_committed(self, *others: str) -> bool:
        """All of the events and the repartitioned records, and of ``others``."""
        try:
            for topic in (self.events, self.repartition, *others):
                for tp, end in (await self.ends(topic)).items():
                    if end and (await self.group.committed(tp) or 0) < end:
                        return False
        except KafkaError:
            return False
        return True

    async def _is_quiet(self) -> bool:
        """Two looks: the clocks follow the wall only after the end of the log was seen."""
        wall = time.time() - 30
        owned: set[int] = set()
        for worker in self.running():
            clocks = await worker.clocks()
            if any(clock < wall for clock in clocks.values()) or not await worker.is_quiet():
                return False
            owned |= clocks.keys()
        return len(owned) == self.partitions

    # -- topics ----------------------------------------------------------------------------------------

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        partitions = self.counts.get(topic, self.partitions)
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(
            [TopicPartition(topic, each) for each in range(partitions)]
        )
        return ends

    async def total(self, topic: str) -> int:
        return sum((await self.ends(topic)).values())

    async def reach(self, transitions: float, seconds: float = 90) -> None:
        """Wait until so many records, repeats included, are on the transitions topic."""

        await self.until(
            lambda: self.is_past(self.transitions, transitions), f"{transitions:.0f} transitions", seconds
        )

    async def is_past(self, topic: str, records: float) -> bool:
        try:
            return await self.total(topic) >= records
        except KafkaError:
            return False

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """All that is in a topic now, each partition in order."""
        ends = await self.ends(topic)
        self.consumer.assign(list(ends))
        await self.consumer.seek_to_beginning()
        records: list[ConsumerRecord] = []
        while any([await self.consumer.position(tp) < end for tp, end in ends.items()]):
            for polled in (await self.consumer.getmany(timeout_ms=200)).values():
                records += polled
        return sorted(records, key=lambda each: (each.partition, each.offset))

    async def changelogs(self) -> dict[int, list[ConsumerRecord]]:
        """By partition; those without a record are absent."""
        found: dict[int, list[ConsumerRecord]] = {}
        for record in await self.read(self.changelog):
            found.setdefault(record.partition, []).append(record)
        return found

    async def outcome(self) -> Outcome:
        outcome = Outcome()
        outcome.add(await self.read(self.transitions))
        return outcome

    # -- after -----------------------------------------------------------------------------------------

    async def assert_right(self, log: Log, definitions: str = DEFINITIONS, seed: int = 1) -> Outcome:
        """The transitions are those of an undisturbed pipeline, and so are the memberships."""
        reference = Reference(log, definitions, self.events, int(time.time() * 1000))
        outcome = await self.outcome()
        assert_same(outcome, reference.bodies)
        assert_same_order(outcome, reference.bodies)
        dead = {_origin(each) for each in await self.read(self.dead_letters)}
        assert len(dead) == reference.dead == log.bad
        await self.assert_members(reference, Random(seed).sample(log.users, min(LOOKUPS, len(log.users))))
        return outcome

    async def assert_members(self, reference: Reference, users: Iterable[str]) -> None:
        """Ask the running workers in turn, whoever owns the user; then for all members and sizes."""
        running = self.running()
        assert running
        for number, user_id in enumerate(users):
            worker = running[number % len(running)]
            status, body = await worker.get(f"/v1/users/{user_id}/audiences")
            assert status == 200, (status, body)
            found = {each["id"]: each["since"] for each in body["audiences"]}
            assert found == reference.audiences(user_id), user_id
        of_all = list(reference.members().items())
        for number, (audience, members) in enumerate(of_all[:MEMBER_LISTS]):
            path = f"/v1/audiences/{audience}"
            status, body = await running[number % len(running)].get(f"{path}/size")
            assert (status, body["members"]) == (200, len(members)), (audience, status, body)
            listed: list[str] = []
            after = ""
            while after is not None:
                query = f"limit=300&after={after}" if after else "limit=300"
                status, body = await running[len(listed) % len(running)].get(f"{path}/members?{query}")
                assert status == 200, (status, body)
                listed += [each["user_id"] for each in body["members"]]
                after = body["next"]
            assert listed == members, audience


def _origin(record: ConsumerRecord) -> tuple[bytes, ...]:
    headers = dict(record.headers)
    return tuple(headers[f"source.{each}"] for each in ("topic", "partition", "offset"))


@asynccontextmanager
async def scene(
    bootstrap: str,
    prefix: str,
    folder: Path,
    partitions: int = 4,
    replication: int = 1,
    idempotence: bool = True,
) -> AsyncIterator[Scene]:
    """A scene with its topics made; all its workers are gone afterwards."""
    made = Scene(bootstrap, prefix, folder, partitions, replication)
    async with AsyncExitStack() as stack:
        made.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await made.admin.start()
        stack.push_async_callback(made.admin.close)
        made.producer = await stack.enter_async_context(
            AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=idempotence)
        )
        reader = {
            "bootstrap_servers": bootstrap,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
        }
        made.consumer = await stack.enter_async_context(AIOKafkaConsumer(**reader))
        # Never a member: it only asks what the workers' group has committed.
        made.group = await stack.enter_async_context(AIOKafkaConsumer(**reader, group_id=prefix))
        await made.make_topics()
        try:
            yield made
        finally:
            for worker in made.running():
                worker.kill()


async def progress(stage: Scene, transitions: float) -> None:
    """Wait for so many more records on the transitions topic, or until the worker is at the end of the log:
    it has committed all records, and none has come for a moment."""
    goal = await stage.total(stage.transitions) + transitions
    at_end: tuple[int, float] | None = None

    async def is_over() -> bool:
        nonlocal at_end
        if await stage.is_past(stage.transitions, goal):
            return True
        if not await stage.is_committed():
            at_end = None
            return False
        end = await stage.total(stage.events)
        if at_end is None or at_end[0] != end:
            at_end = end, time.monotonic()
        return time.monotonic() - at_end[1] > SETTLED_SECONDS

    await stage.until(is_over, f"{goal:.0f} transitions", at_once=True)
