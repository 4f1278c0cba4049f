"""Redis beside us: a set of audiences for each user, filled from the same transitions."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from app.kafka.embedded import end_process, free_ports, log_end, start_tied
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import read_all
from bench.lookup.wire import Request, Wire, command, connect
from bench.processes import STOP_SECONDS, BenchFailed

PROGRAM = "redis-server"
HOW_TO_INSTALL = f"{PROGRAM} isn't installed, so Redis is left out; `apt-get install {PROGRAM}` installs it"
START_SECONDS = 10.0
AT_ONCE = 500
ADDED = b":1\r\n"


class Seen(msgspec.Struct):
    """What is read of a transition."""

    event: str
    audience: str
    user_id: str


async def members_by_user(broker: BenchBroker, topic: str, partitions: int) -> dict[str, set[str]]:
    """Who is in what, by all transitions so far."""
    decode = msgspec.json.Decoder(Seen).decode
    found: dict[str, set[str]] = {}
    async for record in read_all(broker.bootstrap, topic, partitions):
        seen = decode(record.value)
        audiences = found.setdefault(seen.user_id, set())
        (audiences.add if seen.event == "enter" else audiences.discard)(seen.audience)
    return found


class Redis:
    """A server in memory alone, for this machine."""

    def __init__(self, folder: Path) -> None:
        """Raises BenchFailed when it isn't installed."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise BenchFailed(HOW_TO_INSTALL)
        self.port = free_ports(1)[0]
        self._log = folder / "redis.log"
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = start_tied([program, *words, "--dir", str(folder)], self._log)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def fill(self, members: Mapping[str, set[str]]) -> None:
        """Raises BenchFailed."""
        wire = await self.connected()
        commands = [command("SADD", user, each) for user, audiences in members.items() for each in audiences]
        for at in range(0, len(commands), AT_ONCE):
            some = commands[at : at + AT_ONCE]
            answer = await wire.ask(Request(b"".join(some), len(ADDED) * len(some)))
            if answer != ADDED * len(some):
                raise BenchFailed(f"Redis took not all members: {answer[:200]!r}")
        wire.close()

    async def connected(self) -> Wire:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return await connect(self.port)
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise BenchFailed(f"Redis doesn't start: {log_end(self._log, 2000)}") from None
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        end_process(self._process, STOP_SECONDS)
