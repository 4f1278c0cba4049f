"""``bench members``: a page of an audience's members out of many rows, beside a scan of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from agents.evaluate.members import members_after
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from app.settings.tree import CacheSettings
from bench.engine.scale import BASE_MS
from bench.processes import BenchFailed
from bench.report import Report
from bench.workload.events import LogSpec, generate
from bench.workload.expected import ALL_ROWS, acknowledge
from bench.workload.rules import bench_audiences, compiled
from rules.compile.audience import CompiledAudience
from tables.codec import encode_checkpoint
from tables.member_index import count_rows, index_rows
from tables.meta import StoreMeta, encode_meta
from tables.profiles import Profiles
from tables.store import MemoryStore, RocksMemory, RocksStore, Write

SAMPLE_USERS = 5_000
SAMPLE_EVENTS = 25_000
WRITTEN = 20_000
"""Rows in one write."""
SHARE = 0.1
"""Of the audience that is paged: the one with a share nearest to it."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Times of some pages that begin anywhere, each sorted: by the clock, and of the processor."""

    limit: int
    seconds: list[float]
    cpu_seconds: list[float]


def _ms(seconds: list[float], share: float) -> float:
    """What this share of sorted times takes at most, in milliseconds."""
    return 1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))]


@dataclass(frozen=True, slots=True)
class Measured:
    """One store. ``scan_seconds``, by the clock and of the processor: to look at every row once, without
    deciding anything. ``index_seconds``, of the processor: to make the index from the rows."""

    rows: int
    row_bytes: int
    members: int
    pages: list[Pages]
    scan_seconds: tuple[float, float]
    index_seconds: float


def measure(
    rows: int, pages: int, limits: tuple[int, ...], folder: Path, say: Callable[[str], None]
) -> Measured:
    """Raises BenchFailed when index and rows disagree."""
    sample, pipeline = sample_of_rows()
    say(f"writing {rows:,} rows")
    cache = CacheSettings()
    store = RocksStore(folder / "store", RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes))
    for start in range(0, rows, WRITTEN):
        store.write(_rows(sample, start, min(rows, start + WRITTEN)))
    checkpoint = pipeline.checkpoint_now()
    store.write(Write(meta=encode_meta(StoreMeta(0, encode_checkpoint(checkpoint)))))
    say("indexing them, as a store from before the index is indexed")
    began = time.thread_time()
    for _ in index_rows(store, StoreMeta(0, b"")):
        pass
    index_seconds = time.thread_time() - began
    say("looking at every row")
    began, began_cpu = time.perf_counter(), time.thread_time()
    counted = count_rows(store)
    scan_seconds = time.perf_counter() - began, time.thread_time() - began_cpu
    if counted != store.sizes():
        raise BenchFailed("the sizes are not those of the rows")
    live = Pipeline(Place(0, 1), Profiles(store, 1_000), Limits(), Recovered(checkpoint))
    live.rules = pipeline.rules
    audience = _audience(live, counted, rows)
    say(f"pages of {audience.id}")
    random = Random(1)
    taken = [_pages(live, audience, limit, pages, rows, random) for limit in limits]
    size = live.profiles.members.sizes[audience.key]
    row_bytes = sum(len(value) for value in sample) // len(sample)
    store.close()
    return Measured(rows, row_bytes, size, taken, scan_seconds, index_seconds)


def sample_of_rows() -> tuple[list[bytes], Pipeline]:
    """Rows as the workload of the other benchmarks leaves them, and the pipeline that made them."""
    store = MemoryStore()
    pipeline = Pipeline(Place(0, 1), Profiles(store, ALL_ROWS, 1 << 30), Limits())
    pipeline.define(compiled(bench_audiences()))
    while pipeline.sweeping:
        acknowledge(pipeline, pipeline.sweep(1))
    log = list(generate(LogSpec(BASE_MS, SAMPLE_EVENTS, SAMPLE_USERS, 1), "bench"))
    for start in range(0, len(log), 500):
        acknowledge(pipeline, pipeline.apply(log[start : start + 500]))
        while pipeline.overdue:
            acknowledge(pipeline, pipeline.punctuate(pipeline.stream_time_ms, 500))
    pipeline.profiles.flush()
    return [value for _, value in store.scan(b"", 1 << 30)], pipeline


def _key(number: int) -> bytes:
    return b"user-%010d" % number


def _rows(sample: list[bytes], start: int, end: int) -> Write:
    return Write(rows=[(_key(number), sample[number % len(sample)]) for number in range(start, end)])


def _audience(pipeline: Pipeline, sizes: dict[int, int], rows: int) -> CompiledAudience:
    audiences = pipeline.rules.project("default").audiences
    return min(audiences, key=lambda each: abs(sizes.get(each.key, 0) / rows - SHARE))


def _pages(
    pipeline: Pipeline, audience: CompiledAudience, limit: int, count: int, rows: int, random: Random
) -> Pages:
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    for _ in range(count):
        after = _key(random.randrange(rows))
        began, began_cpu = time.perf_counter(), time.thread_time()
        members_after(pipeline, audience, after, limit, pipeline.stream_time_ms)
        cpu_seconds.append(time.thread_time() - began_cpu)
        seconds.append(time.perf_counter() - began)
    return Pages(limit, sorted(seconds), sorted(cpu_seconds))


def show_members(report: Report, found: Measured) -> None:
    scan, scan_cpu = (1000 * each for each in found.scan_seconds)
    rows = [
        (
            f"a page of {each.limit:,}",
            f"{_ms(each.seconds, 0.5):,.2f}",
            f"{_ms(each.seconds, 0.99):,.2f}",
            f"{_ms(each.cpu_seconds, 0.5):,.2f}",
            f"{scan_cpu / _ms(each.cpu_seconds, 0.5):,.0f}",
        )
        for each in found.pages
    ]
    rows.append(("a scan of all rows", f"{scan:,.0f}", "", f"{scan_cpu:,.0f}", "1"))
    title = f"{found.members:,} members among {found.rows:,} rows"
    report.table(title, ("", "p50 ms", "p99 ms", "p50 CPU ms", "to the scan"), rows)
    report.facts(
        "rows",
        {
            "rows": found.rows,
            "bytes a row": found.row_bytes,
            "CPU seconds to make the index from the rows": round(found.index_seconds, 1),
        },
    )
    report.keep("pages", found.pages)
    report.keep("scan_seconds", found.scan_seconds)
