"""Whoever takes part in leading leaves nothing open, at whichever moment it stops."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from agents.kafka.broker import Broker
from agents.pushes.runs import Ledger
from agents.registry.leading import Leading
from agents.warnings import Warnings
from tests.pushes.targets.strange_server import strange_server


async def test_a_process_that_stops_while_it_connects_leaves_no_consumer_open() -> None:
    is_asked = asyncio.Event()

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await reader.read()

    async def lead(*_: Any) -> None: ...

    async with strange_server(says_nothing) as port:
        broker, told = Broker(f"127.0.0.1:{port}"), ("stopped", "it can't")
        leading = Leading(broker, lambda: Ledger("t"), "t", lead, Warnings(), told, fences=True)
        taking_part = asyncio.create_task(leading.run())
        await asyncio.wait_for(is_asked.wait(), 30)
        taking_part.cancel()
        await asyncio.wait([taking_part])
    gc.collect()  # a consumer that is open says so now, and such warnings are errors
