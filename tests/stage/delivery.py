"""Topics, transitions, destinations and delivery workers: the stage of the tests with Kafka."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    destinations_topic,
    publish_destinations,
)
from agents.evaluate.transitions import encode_transition
from agents.kafka.patience import patiently
from agents.topics import create_topics, existing
from rules.state.row import Transition, Trigger
from tests.stage.topics import grow
from tests.stage.workers import Process, Worker, environment, launch

START_MS = 1_790_000_000_000
STOP_SECONDS = 40.0


class DelivererProcess(Worker):
    """A ``turnstile deliver`` process."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, object], *names: str) -> None:
        super().__init__(name, folder, settings)
        self.names = names
        self.secrets: dict[str, str] = {}
        for name in ("port", "probe_port"):
            self.settings[f"deliver.{name}"] = self.settings.pop(f"http.{name}")

    def start(self, **changed: object) -> None:
        assert self.process is None
        self.settings |= {name.replace("__", "."): value for name, value in changed.items()}
        given = {**environment(self.settings), **self.secrets}
        self.process = launch(["deliver", *self.names], self.log_file, given)

    def end(self) -> None:
        """SIGTERM, and wait."""
        process: Process = self._running()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0, self.log()
        self.process = None

    async def status(self, name: str) -> dict[str, Any]:
        code, body = await self.get(f"/v1/destinations/{name}")
        return body if code == 200 else {"state": "absent", "lag": None, "delivered": 0, "partitions": []}


class DeliveryScene:
    """Topics under a prefix of their own. Use ``scene`` to make one."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, partitions: int) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.partitions = partitions
        self.transitions = f"{prefix}.transitions"
        self.deliverers: list[DelivererProcess] = []
        self.admin: AIOKafkaAdminClient
        self.producer: AIOKafkaProducer

    async def make(self, topic: str, partitions: int | None = None, **configs: str) -> None:
        await create_topics(self.admin, {topic: (partitions or self.partitions, configs)}, 1)

    async def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, up to this number; the producer uses them at once."""
        await grow(self.admin, topic, partitions, self.producer)

    async def define(self, text: str, version: int = 1) -> None:
        found = [PublishedDestination(each, version) for each in load_destinations([("test.yaml", text)])]
        await publish_destinations(self.producer, destinations_topic(self.prefix), found)

    def settings(self, **changed: object) -> dict[str, object]:
        return {
            "kafka.bootstrap": self.bootstrap,
            "kafka.session_timeout_ms": 6000,
            "kafka.heartbeat_interval_ms": 500,
            "topics.prefix": self.prefix,
            "topics.partitions": self.partitions,
            "topics.create": True,
            "worker.app_id": self.prefix,
            "deliver.allow_private": True,
            "deliver.eventhub_hosts": "localhost",
            **{key.replace("__", "."): value for key, value in changed.items()},
        }

    def deliverer(self, name: str = "d1", *names: str, **changed: object) -> DelivererProcess:
        made = DelivererProcess(name, self.folder, self.settings(**changed), *names)
        self.deliverers.append(made)
        return made

    async def send(self, transitions: Iterable[Transition]) -> list[dict[str, Any]]:
        """Write transitions as a worker does; their bodies."""
        sent = []
        bodies = []
        for transition in transitions:
            value, headers = encode_transition(transition)
            key = transition.user_id.encode()
            bodies.append(json.loads(value))
            sent.append(await self.producer.send(self.transitions, value, key, headers=headers))
        await self.producer.flush()
        for each in sent:
            await each
        return bodies

    async def is_committed(self, name: str) -> bool:
        """Whether a destination's group has committed all that is in the topic now."""
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            tps = [TopicPartition(self.transitions, each) for each in range(self.partitions)]
            ends = await consumer.end_offsets(tps)
        group = f"{self.prefix}.deliver.{name}"
        held = await patiently(partial(self.admin.list_consumer_group_offsets, group))
        return all(tp in held and held[tp].offset >= end for tp, end in ends.items())

    async def read(self, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
        """All that is in a topic now, each partition in order."""
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            partitions = (await existing(self.admin)).get(topic, 0)
            tps = [TopicPartition(topic, each) for each in range(partitions)]
            if not tps:
                return []
            consumer.assign(tps)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(tps)
            records: list[ConsumerRecord[bytes, bytes]] = []
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for polled in (await consumer.getmany(timeout_ms=200)).values():
                    records += polled
        return sorted(records, key=lambda each: (each.partition, each.offset))


def declared(*names: str, **files: object) -> str:
    """``deliver.secrets`` with variables under their own names and ``files``, for receivers on loopback."""
    sources = {name: {"env": name} for name in names}
    sources |= {name: {"file": str(file)} for name, file in files.items()}
    hosts = ["127.0.0.1", "localhost"]
    return json.dumps([{"name": name, "source": each, "hosts": hosts} for name, each in sources.items()])


def transition(user: str, seq: int, audience: str = "a", **changed: Any) -> Transition:
    """The ``seq``-th transition of a user, a minute after the one before."""
    at_ms = START_MS + seq * 60_000
    given: dict[str, Any] = {
        "project": "default",
        "audience": audience,
        "audience_name": audience.upper(),
        "audience_version": 1,
        "user_id": user,
        "seq": seq,
        "at_ms": at_ms,
        "cause": "event",
        "trigger": Trigger("buy", "e1", at_ms),
        "entered_at_ms": at_ms if seq % 2 else at_ms - 60_000,
        "exit_at_ms": None,
        **changed,
    }
    return Transition(**given)


def many(count: int, users: int = 500) -> Iterable[Transition]:
    """``count`` transitions of ``users`` users in turn."""
    for number in range(count):
        yield transition(f"u{number % users}", number // users + 1)


@asynccontextmanager
async def scene(
    bootstrap: str, prefix: str, folder: Path, partitions: int = 4
) -> AsyncIterator[DeliveryScene]:
    """A scene with its topics made; its processes are gone afterwards."""
    made = DeliveryScene(bootstrap, prefix, folder, partitions)
    async with AsyncExitStack() as stack:
        made.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await made.admin.start()
        stack.push_async_callback(made.admin.close)
        made.producer = await stack.enter_async_context(
            AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        )
        await made.make(made.transitions, **{"retention.ms": "-1"})
        await made.make(destinations_topic(prefix), 1, **{"cleanup.policy": "compact"})
        try:
            yield made
        finally:
            for each in made.deliverers:
                if each.process is not None:
                    each.kill()
