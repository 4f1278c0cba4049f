"""Clients of Kafka are made in one place, so that where it is and how it is secured is said once."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_client, new_consumer, new_producer

ROOT = Path(__file__).parents[3]
PACKAGES = ("rules", "tables", "agents", "app", "bench")
PLACES = {"agents/kafka/clients.py"}
CLIENT = "AIOKafka"
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient"}


def calls(file: Path) -> Iterator[str]:
    """What begins with ``AIOKafka`` and is called in a module, or is a base of a class there."""
    text = file.read_text()
    for node in ast.walk(ast.parse(text)) if CLIENT in text else ():
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name.startswith(CLIENT):
                yield name
            case ast.ClassDef(bases=bases):
                yield from (each.id for each in bases if isinstance(each, ast.Name) and each.id in CLIENTS)


def test_no_other_module_makes_a_client() -> None:
    files = {str(each.relative_to(ROOT)): each for name in PACKAGES for each in (ROOT / name).rglob("*.py")}
    found = {name: made for name, file in files.items() if (made := set(calls(file)))}
    assert found.keys() == PLACES, f"make it with agents.kafka.clients: {found}"


STEPS = 40
"""Of the event loop: more than the end of any client takes here."""


@pytest.mark.kafka
@pytest.mark.parametrize("kind", ["consumer", "producer", "admin", "client"])
async def test_a_task_that_is_cancelled_while_its_client_ends_goes_no_further(kafka: str, kind: str) -> None:
    broker = Broker(kafka)

    async def begun() -> Any:
        match kind:
            case "consumer":
                consumer = new_consumer(broker)
                await consumer.start()
                consumer.assign([TopicPartition("__consumer_offsets", 0)])
                return consumer
            case "producer":
                client: Any = new_producer(broker, idempotence=False)
            case "admin":
                client = new_admin(broker)
            case _:
                client = new_client(broker)
                await client.bootstrap()
                return client
        await client.start()
        return client

    for step in range(STEPS):
        client = await begun()
        reached = False

        async def end(client: Any = client) -> None:
            nonlocal reached
            await (client.stop if kind in ("consumer", "producer") else client.close)()
            reached = True

        task = asyncio.create_task(end())
        for _ in range(step):
            await asyncio.sleep(0)
        was_cancelled = task.cancel()
        await asyncio.wait([task])
        assert reached is not was_cancelled, f"cancelled after {step} steps of the loop"
        await (client.stop if kind in ("consumer", "producer") else client.close)()
        if not was_cancelled:
            break
