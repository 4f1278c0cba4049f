"""Webhook delivery: requests a second of one deliverer, beside a plain aiohttp client."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    destinations_topic,
    publish_destinations,
)
from agents.evaluate.transitions import encode_transition
from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_producer
from agents.topics import create_topics
from app.kafka.embedded import free_ports
from bench.kafka.brokers import BenchBroker
from bench.machine import usage
from bench.processes import BenchFailed, Child, read_result
from rules.state.row import Transition, Trigger

USERS = 5_000
READY_SECONDS = 60.0
DELIVER_SECONDS = 300.0
FIRST_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class WebhookRun:
    """One run. CPU is of the sending process alone; ``repeats`` are requests beyond the transitions."""

    kind: str
    requests: int
    seconds: float
    cpu_us: float
    repeats: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def bodies(count: int) -> Iterator[tuple[bytes, bytes]]:
    """(user id, transition) of ``USERS`` users in turn."""
    for number in range(count):
        user, seq = f"user-{number % USERS}", number // USERS + 1
        at_ms = FIRST_MS + seq * 1_000
        transition = Transition(
            "default",
            "cart_abandoners",
            "Cart abandoners",
            3,
            user,
            seq,
            at_ms,
            "event",
            Trigger("add_to_cart", f"e{number}", at_ms),
            at_ms,
            at_ms + 3_600_000,
        )
        yield user.encode(), encode_transition(transition)[0]


async def measure_webhooks(
    broker: BenchBroker, folder: Path, count: int, concurrency: int, say: Callable[[str], None]
) -> list[WebhookRun]:
    """A plain client and then a deliverer, to the same receiver. Raises BenchFailed."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/"
    with Child("bench.delivery.receiver", [str(port)], folder / "receiver.log") as receiver:
        async with aiohttp.ClientSession() as session:
            await wait_until(lambda: _counted(session, url), "the receiver answers", [receiver])
            say(f"plain aiohttp: {count:,} requests, {concurrency} at a time")
            plain = await _plain(folder, url, count, concurrency)
            await session.delete(url)
            say(f"turnstile deliver: {count:,} transitions, concurrency {concurrency}")
            ours = await _ours(broker, folder, session, url, count, concurrency, receiver)
    return [plain, ours]


async def _plain(folder: Path, url: str, count: int, concurrency: int) -> WebhookRun:
    result = folder / "plain.json"
    arguments = [url, str(count), str(concurrency), str(result)]
    with Child("bench.delivery.plain", arguments, folder / "plain.log") as child:
        await asyncio.to_thread(child.wait, DELIVER_SECONDS)
    found = read_result(result)
    return WebhookRun("plain aiohttp", count, found["seconds"], found["cpu_seconds"] * 1e6 / count, 0)


async def _ours(
    broker: BenchBroker,
    folder: Path,
    session: aiohttp.ClientSession,
    url: str,
    count: int,
    concurrency: int,
    receiver: Child,
) -> WebhookRun:
    prefix, partitions = f"bench-{uuid.uuid4().hex[:8]}", 4
    (port,) = free_ports(1)
    async with new_producer(Broker(broker.bootstrap), idempotence=False) as producer:
        await _prepare(broker, producer, prefix, partitions, url, concurrency)
        environment = {
            "TURNSTILE_KAFKA__BOOTSTRAP": broker.bootstrap,
            "TURNSTILE_TOPICS__PREFIX": prefix,
            "TURNSTILE_TOPICS__PARTITIONS": str(partitions),
            "TURNSTILE_TOPICS__CREATE": "true",
            "TURNSTILE_WORKER__APP_ID": prefix,
            "TURNSTILE_DELIVER__PORT": str(port),
            "TURNSTILE_DELIVER__ALLOW_PRIVATE": "true",
            **broker.settings,
        }
        with Child("app.main", ["deliver"], folder / "deliver.log", environment) as child:
            status = f"http://127.0.0.1:{port}/v1/destinations/bench"

            async def ready() -> bool:
                found = await get_json(session, status)
                return found is not None and len(found["partitions"]) == partitions

            await wait_until(ready, "the deliverer is ready", [receiver, child])
            before = usage(child.pid)
            for user, body in bodies(count):
                await producer.send(f"{prefix}.transitions", body, user)
            await producer.flush()

            async def arrived() -> bool:
                found = await get_json(session, url)
                return found is not None and found["ids"] == count

            await wait_until(arrived, "all has arrived", [receiver, child], DELIVER_SECONDS)
            after, found = usage(child.pid), await get_json(session, url)
    if before is None or after is None or found is None:
        raise BenchFailed("the deliverer or the receiver is gone")
    cpu_us = (after.cpu_seconds - before.cpu_seconds) * 1e6 / count
    return WebhookRun("turnstile deliver", count, found["seconds"], cpu_us, found["requests"] - count)


async def _prepare(
    broker: BenchBroker,
    producer: AIOKafkaProducer,
    prefix: str,
    partitions: int,
    url: str,
    concurrency: int,
) -> None:
    admin = new_admin(Broker(broker.bootstrap))
    await admin.start()
    topic = destinations_topic(prefix)
    try:
        # The transitions are stamped in the past: a broker would delete them under the benchmark.
        wanted = {
            f"{prefix}.transitions": (partitions, {"retention.ms": "-1"}),
            topic: (1, {"cleanup.policy": "compact"}),
        }
        await create_topics(admin, wanted, 1)
    finally:
        await admin.close()
    target = f"{{url: '{url}', concurrency: {concurrency}}}"
    text = f"{{name: bench, kind: webhook, webhook: {target}}}"
    (destination,) = load_destinations([("bench.yaml", text)])
    await publish_destinations(producer, topic, [PublishedDestination(destination, 1)])


async def _counted(session: aiohttp.ClientSession, url: str) -> bool:
    return await get_json(session, url) is not None


async def get_json(session: aiohttp.ClientSession, url: str) -> Any:
    """The body; None: nobody answers, or not with 200."""
    try:
        async with session.get(url) as answer:
            return await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def wait_until(
    condition: Callable[[], Any], what: str, children: list[Child], seconds: float = READY_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            tails = "\n".join(child.tail() for child in children)
            raise BenchFailed(f"not within {seconds:.0f} s: {what}\n{tails}")
        await asyncio.sleep(0.1)
