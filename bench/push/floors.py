"""The same lists without us: scripts and PyArrow, each in a process of its own; what it needs is ready."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import orjson

from agents.pushes.targets.places import ObjectStorePlace, SftpPlace
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic
from bench.lookup.redis import HOW_TO_INSTALL, PROGRAM, Redis
from bench.lookup.wire import Request, command
from bench.processes import BenchFailed, Child, read_result
from bench.push.floor import Order
from bench.push.lists import Expected, keys_of
from bench.push.people import AUDIENCE, People, city_of, email_of, name_of, spent_of, tier_of

NO_ARROW: Final = "pyarrow isn't installed, so it is left out; `pip install pyarrow` installs it"
AT_ONCE: Final = 500
SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Floor:
    """``seconds``: from what is ready to the last acknowledgement."""

    kind: str
    rows: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Floors:
    """``expected``: who is to be in each list."""

    broker: BenchBroker
    people: People
    partitions: int
    s3: ObjectStorePlace | None
    sftp: SftpPlace | None
    folder: Path
    expected: Expected
    say: Callable[[str], None]

    async def measure(self, kinds: Sequence[str]) -> list[Floor]:
        """Beside pushes of these kinds. What isn't installed is left out, and told. Raises BenchFailed."""
        found: list[Floor] = []
        with ExitStack() as started:
            if shutil.which(PROGRAM) is None:
                self.say(HOW_TO_INSTALL)
            else:
                redis = Redis(self.folder)
                started.callback(redis.stop)
                await self._fill(redis)
                if "kafka" in kinds:
                    found.append(await self._to_kafka(redis.port))
                if {"s3", "sftp"} & set(kinds):
                    found.append(await self._to_file("script_file", port=redis.port))
        if importlib.util.find_spec("pyarrow") is None:
            self.say(NO_ARROW)
            return found
        if {"s3", "sftp"} & set(kinds):
            found.append(await self._to_file("arrow_file"))
        if self.s3 is not None and self.s3.endpoint is not None:
            file = f"{self.s3.bucket}/arrow.csv"
            found.append(
                await self._run(
                    "arrow_s3",
                    port=int(self.s3.endpoint.rpartition(":")[2]),
                    file=file,
                    key_id=self.s3.key_id,
                    key=self.s3.key,
                )
            )
        if self.sftp is not None:
            found.append(
                await self._run("arrow_sftp", port=self.sftp.port, file=str(self.folder / "arrow-sent.csv"))
            )
            data = (self.folder / "sftp" / "arrow.csv").read_bytes()
            self.expected.check_csv("arrow_sftp", data)
        return found

    async def _to_kafka(self, port: int) -> Floor:
        topic = f"bench-script-{time.time_ns()}"
        await make_topic(self.broker.bootstrap, topic, self.partitions)
        floor = await self._run("script_kafka", port=port, bootstrap=self.broker.bootstrap, topic=topic)
        self.expected.check(floor.kind, await keys_of(self.broker, topic, floor.rows))
        return floor

    async def _to_file(self, kind: str, **more: object) -> Floor:
        file = self.folder / f"{kind}.csv"
        floor = await self._run(kind, file=str(file), **more)
        self.expected.check_csv(kind, file.read_bytes())
        return floor

    async def _run(self, kind: str, **more: object) -> Floor:
        self.say(f"the same by {kind}")
        order, result = self.folder / f"{kind}.json", self.folder / f"{kind}-result.json"
        given = {"kind": kind, "rows": self.people.rows, "members": self.people.members, **more}
        order.write_bytes(msgspec.json.encode(msgspec.convert(given, Order)))
        with Child("bench.push.floor", [str(order), str(result)], self.folder / f"{kind}.log") as child:
            await asyncio.to_thread(child.wait, SECONDS)
        found = read_result(result)
        return Floor(kind, found["rows"], found["seconds"], found["cpu_seconds"], found["peak_rss_bytes"])

    async def _fill(self, redis: Redis) -> None:
        """A set of the members, and the profile of each. Raises BenchFailed."""
        wire = await redis.connected()
        numbers = list(self.people.inside())
        for at in range(0, len(numbers), AT_ONCE):
            some = numbers[at : at + AT_ONCE]
            names = [name_of(each) for each in some]
            profiles = [orjson.dumps(_profile(each)).decode() for each in some]
            pairs = [word for pair in zip(names, profiles, strict=True) for word in pair]
            wanted = f":{len(some)}\r\n+OK\r\n".encode()
            data = command("SADD", AUDIENCE, *names) + command("MSET", *pairs)
            if await wire.ask(Request(data, len(wanted))) != wanted:
                raise BenchFailed("Redis took not all members")
        wire.close()


def _profile(number: int) -> dict[str, object]:
    return {
        "email": email_of(number),
        "city": city_of(number),
        "tier": tier_of(number),
        "spent": spent_of(number),
    }
