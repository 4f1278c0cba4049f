"""One list to each target, checked there, with seconds and memory."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_producer
from agents.pushes.contract.rows import read_frames
from agents.pushes.contract.target import Target
from agents.pushes.targets.files import FilesTarget, Storage
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.kafka_clients import KafkaPlace
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from agents.pushes.targets.sftp import SftpStorage
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic
from bench.processes import BenchFailed
from bench.push.lists import Made, make_list
from bench.push.servers import minio, sftp

KINDS: Final = ("files", "s3", "sftp", "kafka", "plain_kafka")


@dataclass(frozen=True, slots=True)
class Pushed:
    """One list. ``rows_…``: rows made and spooled; ``seconds``: delivered, to the last acknowledgement.

    CPU and ``peak_rss_bytes`` (so far) are of this process.
    """

    kind: str
    rows: int
    bytes: int
    rows_seconds: float
    rows_cpu_seconds: float
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int

    @property
    def rate(self) -> float:
        """Rows a second, from members to the target."""
        return self.rows / (self.rows_seconds + self.seconds)


@dataclass(frozen=True, slots=True)
class PushPlan:
    members: int
    partitions: int
    gzip: bool
    given_s3: ObjectStorePlace | None


async def measure(
    kind: str, plan: PushPlan, broker: BenchBroker | None, folder: Path, say: Callable[[str], None]
) -> Pushed:
    """Raises BenchFailed where what came there isn't the list."""
    say(f"{plan.members:,} members to {kind}")
    is_kafka = kind in ("kafka", "plain_kafka")
    made = make_list(folder, "kafka" if is_kafka else "csv", plan.members, plan.partitions, plan.gzip)
    if kind == "files":
        place = ObjectStorePlace("file", str(folder / "files"))
        return await _files(kind, ObjectStorage(place), made)
    if kind == "s3" and plan.given_s3 is not None:
        return await _files(kind, ObjectStorage(plan.given_s3), made)
    if kind == "s3":
        with minio(folder) as s3:
            return await _files(kind, ObjectStorage(s3), made)
    if kind == "sftp":
        with sftp(folder) as server:
            return await _files(kind, SftpStorage(server), made)
    assert broker is not None
    topic = f"bench-push-{time.time_ns()}"
    await make_topic(broker.bootstrap, topic, plan.partitions)
    if kind == "plain_kafka":
        return await _plain_kafka(broker, topic, made)
    pushed = await _timed(kind, KafkaTarget(KafkaPlace(Broker(broker.bootstrap), topic)), made)
    await _check_topic(broker, topic, plan.members + 1)
    return pushed


async def _files(kind: str, storage: Storage, made: Made) -> Pushed:
    target = FilesTarget(storage, "bench")
    pushed = await _timed(kind, target, made)
    delivered = await target.find(made.spooled.push, made.spooled.run_id, made.spooled.list_id)
    name = "" if delivered is None else delivered.places[0].rpartition("/")[2]
    found = await storage.get(f"bench/run/{name}")
    await target.close()
    if delivered is None or found is None or hashlib.sha256(found).hexdigest() != delivered.checksum:
        raise BenchFailed(f"{kind}: the file isn't the list")
    return pushed


async def _timed(kind: str, target: Target, made: Made) -> Pushed:
    began, cpu_began = time.perf_counter(), time.process_time()
    delivered = await target.deliver(made.spooled, lambda rows: None)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return _pushed(kind, delivered.rows, delivered.bytes, made, seconds, cpu_seconds)


async def _plain_kafka(broker: BenchBroker, topic: str, made: Made) -> Pushed:
    """What a script does: aiokafka's ``send`` for each row of a ready table, idempotent, no transaction."""
    producer = new_producer(Broker(broker.bootstrap), idempotence=True, linger_ms=5, max_batch_size=1 << 18)
    await producer.start()
    began, cpu_began = time.perf_counter(), time.process_time()
    rows, size = 0, 0
    last: Any = None
    for part in made.spooled.parts:
        with part.path.open("rb") as file:
            for key, value in read_frames(file):
                data = orjson.dumps(orjson.loads(value))
                last = await producer.send(topic, data, key=key)
                rows += 1
                size += len(data)
    await producer.flush()
    if last is not None:
        await last
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    await producer.stop()
    return _pushed("plain_kafka", rows, size, made, seconds, cpu_seconds)


async def _check_topic(broker: BenchBroker, topic: str, expected: int) -> None:
    """As many committed records as rows, and the end record."""
    found = 0
    async with committed_consumer(replace(Broker(broker.bootstrap))) as consumer:
        consumer.subscribe([topic])
        while found < expected:
            polled = await consumer.getmany(timeout_ms=10_000)
            if not polled:
                break
            found += sum(map(len, polled.values()))
    if found != expected:
        raise BenchFailed(f"the topic holds {found:,} committed records instead of {expected:,}")


def _pushed(kind: str, rows: int, size: int, made: Made, seconds: float, cpu_seconds: float) -> Pushed:
    peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Pushed(kind, rows, size, made.seconds, made.cpu_seconds, seconds, cpu_seconds, peak_rss_bytes)
