"""From producing an event to a lookup that sees it: one new user after another buys something."""

from __future__ import annotations

import asyncio
import json
import time

from agents.kafka.placement import partition_of
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import producer_client
from bench.lookup.wire import connect, request_of
from bench.processes import BenchFailed

AUDIENCE = "buyer"
"""One purchase enters it."""
EVERY_SECONDS = 0.05
LOOK_SECONDS = 0.001
GIVE_UP_SECONDS = 20.0


async def ages_ms(
    broker: BenchBroker, topic: str, partitions: int, port: int, seconds: float, name: str
) -> list[float]:
    """Ascending. ``name`` is part of the users' ids. Raises BenchFailed for an event that nobody sees."""
    found: list[float] = []
    wire = await connect(port)
    async with producer_client(broker.bootstrap) as producer:
        await producer.partitions_for(topic)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            user = f"{name}-{len(found)}"
            body = {"user_id": user, "event": "purchase", "properties": {"price": 1}}
            request = request_of("http", [user], [AUDIENCE])
            produced = time.monotonic()
            value, partition = json.dumps(body).encode(), partition_of(user, partitions)
            await producer.send(topic, value, user.encode(), partition=partition)
            while b'"member":true' not in await wire.ask(request):
                if time.monotonic() - produced > GIVE_UP_SECONDS:
                    raise BenchFailed(f"no lookup sees an event of {user} within {GIVE_UP_SECONDS:.0f} s")
                await asyncio.sleep(LOOK_SECONDS)
            found.append((time.monotonic() - produced) * 1000)
            await asyncio.sleep(EVERY_SECONDS)
    wire.close()
    return sorted(found)
