"""A process that asks for memberships, and notes how long answers took (``bench lookup``).

With a rate the time runs from when a request was *due*: if one has to wait, those after it count that, too.
Without one each connection asks again as soon as it has its answer: as many as can be.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from random import Random

import msgspec

from bench.lookup.wire import ConnectionLost, Kind, Request, Wire, connect, is_answer, request_of
from bench.processes import write_result
from bench.worker.paced import USERS
from bench.worker.reader import PERCENTILES
from bench.workload.events import ZIPF

TICK_SECONDS = 0.001
DEADLINE_SECONDS = 30.0
READY_MADE = 400
"""Different requests, made before the time runs."""


class Order(msgspec.Struct, frozen=True):
    """What to ask. ``per_second`` 0: as many as can be; ``users``: in one request."""

    kind: Kind
    port: int
    users: int
    audiences: list[str]
    per_second: int
    seconds: float
    connections: int


class Asker:
    """Some connections, and what came by them."""

    def __init__(self, order: Order, wires: list[Wire]) -> None:
        self._order = order
        self._free: asyncio.LifoQueue[Wire] = asyncio.LifoQueue()
        for each in wires:
            self._free.put_nowait(each)
        random = Random(11)
        names = [[_user(random) for _ in range(order.users)] for _ in range(READY_MADE)]
        self._requests = [request_of(order.kind, each, order.audiences) for each in names]
        self._asked = 0
        self.ages_ms: list[float] = []
        self.refused = 0

    def _next(self) -> Request:
        self._asked += 1
        return self._requests[self._asked % READY_MADE]

    async def ask(self, due: float) -> None:
        """``due`` is of the monotonic clock."""
        wire = await self._free.get()
        await self._ask(wire, due)
        self._free.put_nowait(wire)

    async def ask_on(self, until: float) -> None:
        """One connection's requests, until then."""
        wire = await self._free.get()
        while (now := time.monotonic()) < until:
            await self._ask(wire, now)

    async def _ask(self, wire: Wire, due: float) -> None:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await wire.ask(self._next())
            is_good = is_answer(self._order.kind, answer)
        except (ConnectionLost, TimeoutError):
            is_good = False
        if is_good:
            self.ages_ms.append((time.monotonic() - due) * 1000)
        else:
            self.refused += 1


def _user(random: Random) -> str:
    """Drawn as the events draw users (``bench.worker.paced``): most are known."""
    return f"u{int(USERS * random.random() ** ZIPF):07d}"


async def run(order: Order, result: str) -> None:
    wires = [await connect(order.port) for _ in range(order.connections)]
    asker = Asker(order, wires)
    began = time.monotonic()
    if order.per_second:
        asked: set[asyncio.Task[None]] = set()
        for number in range(round(order.per_second * order.seconds)):
            due = began + number / order.per_second
            if (wait := due - time.monotonic()) > TICK_SECONDS:
                await asyncio.sleep(wait)
            asked.add(task := asyncio.create_task(asker.ask(due)))
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
    else:
        await asyncio.gather(*(asker.ask_on(began + order.seconds) for _ in wires))
    took = time.monotonic() - began
    for wire in wires:
        wire.close()
    ages = sorted(asker.ages_ms)
    found = {name: ages[int(share * (len(ages) - 1))] for name, share in PERCENTILES.items()} if ages else {}
    if ages:
        found["max"] = ages[-1]
    told = {"measured": len(ages), "refused": asker.refused, "seconds": took, "milliseconds": found}
    write_result(result, told)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order), sys.argv[2]))
