"""Batches of a list's records, finished: by the native core where it is built, otherwise by aiokafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer

from agents.evaluate.native.core import Core, CoreMissing, native_core
from agents.kafka.placement import murmur2
from agents.kafka.raw.hooks import Ready
from agents.pushes.contract.rows import read_frames
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.targets.kafka_clients import BATCH_BYTES
from agents.pushes.targets.kafka_end import LIST_HEADER
from agents.pushes.targets.stream import part_pieces

AT_ONCE: Final = 2_000
"""Records whose partitions are asked for together."""
BESIDE_BYTES: Final = 100
"""What a record takes beside key and value, about."""

Batch: TypeAlias = tuple[int, Any, int]
"""(partition, finished batch, its records)"""
Header: TypeAlias = tuple[str, bytes]


def list_batches(
    producer: AIOKafkaProducer, spooled: SpooledList, partitions: int, may_be_native: bool
) -> Iterator[Batch]:
    """In the order of the spool. The key decides the partition, as in all clients that follow Kafka's own.

    ``may_be_native``: the producer doesn't compress. Raises TargetRefused for a broken spool.
    """
    header = (LIST_HEADER, spooled.list_id.encode())
    core = _core() if may_be_native else None
    frames = _frames(spooled)
    if core is None:
        return _by_aiokafka(producer, frames, spooled.instant_ms, header, partitions)
    return _by_core(core, frames, spooled.instant_ms, header, partitions)


def _core() -> Core | None:
    try:
        core = native_core()
    except CoreMissing:
        return None
    return core if core.stamp is not None else None


def _frames(spooled: SpooledList) -> Iterator[tuple[bytes, bytes]]:
    for part in spooled.parts:
        for _ in part_pieces(part):
            pass  # read once before, so that nothing of a broken spool is sent
        with part.path.open("rb") as file:
            yield from read_frames(file)


def _by_core(
    core: Core, frames: Iterator[tuple[bytes, bytes]], timestamp_ms: int, header: Header, partitions: int
) -> Iterator[Batch]:
    from turnstile_core import batches

    headers = [header]
    waiting: list[list[Any]] = [[] for _ in range(partitions)]
    sizes = [0] * partitions
    assert core.stamp is not None

    def finished(at: int) -> Iterable[Batch]:
        for data, count in batches(waiting[at], BATCH_BYTES):
            yield at, Ready(data, count, core.stamp, is_transactional=True), count  # type: ignore[arg-type]
        waiting[at], sizes[at] = [], 0

    while some := list(islice(frames, AT_ONCE)):
        found = core.partitions_of([key.decode() for key, _ in some], partitions)
        for (key, value), at in zip(some, found, strict=True):
            waiting[at].append((timestamp_ms, key, value, headers))
            sizes[at] += len(key) + len(value) + BESIDE_BYTES
            if sizes[at] >= BATCH_BYTES:
                yield from finished(at)
    for at in range(partitions):
        yield from finished(at)


def _by_aiokafka(
    producer: AIOKafkaProducer,
    frames: Iterator[tuple[bytes, bytes]],
    timestamp_ms: int,
    header: Header,
    partitions: int,
) -> Iterator[Batch]:
    headers = [header]
    builders: list[Any] = [None] * partitions
    for key, value in frames:
        at = (murmur2(key) & 0x7FFFFFFF) % partitions
        builder = builders[at]
        if builder is None:
            builder = builders[at] = producer.create_batch()
        if builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
            builder.close()
            yield at, builder, builder.record_count()
            builder = builders[at] = producer.create_batch()
            builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
    for at, builder in enumerate(builders):
        if builder is not None:
            builder.close()
            yield at, builder, builder.record_count()
