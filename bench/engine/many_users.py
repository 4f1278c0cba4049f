"""``bench scale``: the pure pipeline over RocksDB with many more users than its cache has room for."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from agents.evaluate.native.engine import Engine
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place
from app.settings.tree import CacheSettings
from bench.engine.members import sample_of_rows
from bench.engine.scale import BASE_MS
from bench.machine import usage
from bench.processes import BenchFailed
from bench.workload.events import CATEGORIES, CHANNELS, NAMES, LogRecord
from bench.workload.expected import acknowledge
from bench.workload.rules import bench_audiences, compiled
from rules.time.instants import format_instant
from tables.codec import encode_checkpoint
from tables.member_index import index_rows
from tables.meta import StoreMeta, encode_meta
from tables.store import RocksMemory, RocksStore, Write

WRITTEN = 20_000
"""Rows in one write."""
STEP_RECORDS = 5_000
STEP_MS = 1


@dataclass(frozen=True, slots=True)
class Many:
    """``users`` have rows in one partition's store; ``cache_rows`` of them fit into memory. An event is of
    any user, with the same probability: the worst case for a cache."""

    users: int
    cache_rows: int
    warm_up: int
    events: int


@dataclass(frozen=True, slots=True)
class Passed:
    """One engine. CPU is that of the whole process, with RocksDB's own threads; ``memory_bytes`` is what the
    process got more of from before the pipeline until the end."""

    engine: str
    users: int
    cached_rows: int
    wall_us: float
    cpu_us: float
    memory_bytes: int
    transitions_per_event: float

    @property
    def bytes_per_cached_row(self) -> float:
        return self.memory_bytes / max(1, self.cached_rows)


def write_store(many: Many, folder: Path, say: Callable[[str], None]) -> Recovered:
    """Rows as the workload of the other benchmarks leaves them, with the index of members.

    What a recovery finds there.
    """
    sample, pipeline = sample_of_rows()
    say(f"writing {many.users:,} rows of {sum(map(len, sample)) // len(sample)} bytes")
    store = _open(folder)
    for start in range(0, many.users, WRITTEN):
        numbers = range(start, min(many.users, start + WRITTEN))
        store.write(Write(rows=[(_name(each).encode(), sample[each % len(sample)]) for each in numbers]))
    checkpoint = pipeline.checkpoint_now()
    meta = StoreMeta(0, encode_checkpoint(checkpoint))
    store.write(Write(meta=encode_meta(meta)))
    for _ in index_rows(store, meta):
        pass
    store.close()
    return Recovered(checkpoint)


def measure(
    engine: Engine, many: Many, recovered: Recovered, folder: Path, say: Callable[[str], None]
) -> Passed:
    """One engine over a store, which is changed. Raises BenchFailed when the rows are of other rules."""
    store = _open(folder)
    before = _memory()
    # Of the cache's rows as many as by default may wait for the store.
    waiting = many.cache_rows // 2
    pipeline = engine.pipeline(Place(0, 1), store, Limits(), many.cache_rows, waiting, recovered)
    pipeline.define(compiled(bench_audiences()))
    if pipeline.sweeping:
        raise BenchFailed("the rows would be swept: they are of other rules")
    log = _log(many, pipeline.stream_time_ms)
    say(f"{engine.name} engine: {many.warm_up:,} events to fill the cache")
    _pass(pipeline, islice(log, many.warm_up))
    gc.collect()
    say(f"{engine.name} engine: {many.events:,} events measured")
    wall, cpu = time.perf_counter(), time.process_time()
    transitions = _pass(pipeline, islice(log, many.events))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = Passed(
        engine.name,
        many.users,
        pipeline.profiles.cached_rows,
        1e6 * wall / many.events,
        1e6 * cpu / many.events,
        _memory() - before,
        transitions / many.events,
    )
    store.close()
    return found


def _pass(pipeline: Pipeline, records: Iterator[LogRecord]) -> int:
    transitions = 0

    def take(step: Step) -> None:
        nonlocal transitions
        transitions += len(step.transitions)
        acknowledge(pipeline, step)

    while batch := list(islice(records, STEP_RECORDS)):
        take(pipeline.apply(batch))
        while pipeline.overdue:
            take(pipeline.punctuate(pipeline.stream_time_ms, STEP_RECORDS))
    return transitions


def _log(many: Many, start_ms: int) -> Iterator[LogRecord]:
    """Without end."""
    random = Random(3)
    names, shares = zip(*NAMES, strict=True)
    at_ms = max(start_ms, BASE_MS)
    for offset in range(1 << 60):
        at_ms += STEP_MS
        (name,) = random.choices(names, shares)
        user = _name(random.randrange(many.users))
        value = (
            f'{{"type":"track","id":"scale-{offset:012d}","user_id":"{user}","event":"{name}",'
            f'"time":"{format_instant(at_ms)}","properties":{{"sku":"sku-{offset % 5000:05d}",'
            f'"category":"{CATEGORIES[offset % len(CATEGORIES)]}","price":{offset % 400},'
            f'"channel":"{CHANNELS[offset % len(CHANNELS)]}"}}}}'
        )
        yield LogRecord(offset, at_ms, user.encode(), value.encode(), 0, "scale")


def _name(number: int) -> str:
    return f"user-{number:010d}"


def _open(folder: Path) -> RocksStore:
    cache = CacheSettings()
    return RocksStore(folder / "store", RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes))


def _memory() -> int:
    gc.collect()
    found = usage(os.getpid())
    if found is None:
        raise BenchFailed("this process can't be measured: there is no /proc here")
    return found.rss_bytes
