"""Lists as they lie at their targets, compared with who should be in them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from pathlib import Path

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer
from agents.pushes.runs import Run
from agents.pushes.targets.kafka_end import END_HEADER
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from bench.kafka.brokers import BenchBroker
from bench.processes import BenchFailed
from bench.push.people import People, hashed


class Expected:
    """Who should be in every list."""

    def __init__(self, people: People) -> None:
        self._ids = frozenset(hashed(each).encode() for each in people.inside())

    def check(self, what: str, ids: Iterable[bytes]) -> None:
        """Raises BenchFailed unless each of them is there once, and nobody else."""
        found = list(ids)
        if len(found) != len(self._ids) or self._ids.symmetric_difference(found):
            raise BenchFailed(
                f"{what}: {len(found):,} rows, {len(set(found) & self._ids):,} of {len(self._ids):,} members"
            )

    def check_csv(self, what: str, data: bytes, checksum: str = "", is_packed: bool = False) -> None:
        """Of a file with a header. Raises BenchFailed."""
        if checksum and hashlib.sha256(data).hexdigest() != checksum:
            raise BenchFailed(f"{what}: the file isn't the one that was delivered")
        lines = (gzip.decompress(data) if is_packed else data).splitlines()
        self.check(what, (each.partition(b",")[0].strip(b'"') for each in lines[1:]))


async def object_of(run: Run, place: ObjectStorePlace) -> bytes:
    """What a run left in a bucket."""
    storage = ObjectStorage(place)
    data = await storage.get(run.places[0].split("/", 3)[3])
    await storage.close()
    return data or b""


def file_of(run: Run, root: Path) -> bytes:
    """What a run left in the folder of an SFTP server."""
    return (root / run.places[0].split("/", 3)[3]).read_bytes()


async def keys_of(broker: BenchBroker, topic: str, rows: int) -> list[bytes]:
    """Of the committed records of a topic, without the end of a list."""
    found: list[bytes] = []
    async with committed_consumer(Broker(broker.bootstrap)) as consumer:
        consumer.subscribe([topic])
        while len(found) < rows:
            polled = await consumer.getmany(timeout_ms=10_000)
            if not polled:
                break
            for records in polled.values():
                found += [each.key for each in records if END_HEADER not in dict(each.headers)]
    return found
