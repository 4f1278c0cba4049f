"""Live feeds on a real socket over a real broker, without a worker, and a client that reads events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, ClientTimeout
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import CollectorRegistry

from agents.kafka.broker import Broker
from agents.topics import create_topics
from app.http.base import Health, HttpBase
from app.http.problems import HttpProblem
from app.live.places import Places
from app.live.routes import LiveFeeds
from tests.app.http.lab import Lab as HttpLab
from tests.app.http.lab import ready

PARTITIONS = 3
FEED = "/v1/audiences/fans/transitions"


def transition(number: int, audience: str = "fans", project: str = "default", pad: int = 0) -> bytes:
    body = {"id": f"t{number}", "event": "enter", "project": project, "audience": audience, "pad": "x" * pad}
    return json.dumps(body).encode()


class LiveLab(HttpLab):
    """``feeds`` behind HTTP, and a producer for its topic."""

    def __init__(
        self, broker: str, prefix: str, producer: AIOKafkaProducer, places: Places, **http: Any
    ) -> None:
        super().__init__(**http)
        self.topic = f"{prefix}.transitions"
        self.producer = producer
        registry = CollectorRegistry()
        self.feeds = LiveFeeds(
            Broker(broker), self.topic, self.keys, self._known, registry, places, slow_seconds=0.5
        )
        health = Health(lambda: True, list, ready, registry, self.warnings)
        self.base = HttpBase("http", self.settings, self.keys, health, self.feeds.routes())
        self.registry = registry

    def _known(self, project: str, audience: str) -> None:
        if audience != "fans":
            raise HttpProblem(404, "No such audience", f"project {project!r} has no audience {audience!r}")

    async def write(self, *values: bytes) -> None:
        """Each to the next partition."""
        await asyncio.gather(
            *[
                await self.producer.send(self.topic, value, partition=number % PARTITIONS)
                for number, value in enumerate(values)
            ]
        )


@asynccontextmanager
async def live_lab(
    broker: str, prefix: str, places: Places | None = None, **http: Any
) -> AsyncIterator[LiveLab]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await create_topics(admin, {f"{prefix}.transitions": (PARTITIONS, {})}, 1)
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_request_size=4 << 20) as producer:
        made = LiveLab(broker, prefix, producer, places or Places(), **http)
        made.feed.loaded.set()
        await made.base.start()
        try:
            yield made
        finally:
            made.feeds.close()
            await made.base.stop()


@dataclass
class Event:
    """As browsers read it; ``name`` is empty for a heartbeat."""

    id: str = ""
    name: str = ""
    data: list[str] = field(default_factory=list)

    @property
    def body(self) -> Any:
        return json.loads("\n".join(self.data))


async def events(lines: Any) -> AsyncIterator[Event]:
    """What a stream of lines holds, by the HTML standard's rules as far as we use them."""
    event = Event()
    async for line in lines:
        text = line.decode().rstrip("\n")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if not text:
            yield event
            event = Event()
        elif name == "id":
            event.id = value
        elif name == "event":
            event.name = value
        elif name == "data":
            event.data.append(value)


@asynccontextmanager
async def follow(
    url: str, last: str = "", path: str = FEED, **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a feed, when its first heartbeat is there."""
    given = {each.replace("_", "-"): value for each, value in headers.items()}
    if last:
        given["Last-Event-ID"] = last
    async with (
        ClientSession(timeout=ClientTimeout(sock_read=60), read_bufsize=1 << 20) as session,
        session.get(url + path, headers=given) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        found = events(answer.content)
        first = await anext(found)
        assert (first.name, bool(first.id)) == ("", True)
        yield found


async def some(found: AsyncIterator[Event], count: int) -> list[Event]:
    """The next so many transitions."""
    taken: list[Event] = []
    while len(taken) < count:
        event = await anext(found)
        if event.name:
            taken.append(event)
    return taken
