"""``bench profile``: where the time of an event goes in the pure pipeline over RocksDB, without Kafka."""

from __future__ import annotations

import cProfile
import gc
import pstats
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import thread_time

from aiokafka.producer.message_accumulator import BatchBuilder

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.evaluate.transitions import encode_transition
from agents.formats.native import read_plain
from agents.formats.records import time_of
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.placement import Place
from app.settings.tree import CacheSettings
from app.worker.process import calm_garbage_collector
from bench.workload.events import LogRecord, LogSpec, generate
from bench.workload.expected import acknowledge, batches
from bench.workload.rules import bench_audiences, compiled
from rules.state.row import Row
from tables.profiles import ANY_BYTES, Profiles, Staged
from tables.store import RocksMemory, RocksStore, Timer

TOP = 30


@dataclass(slots=True)
class Sections:
    """Seconds by section. ``apply`` is what of the pipeline's step is none of the sections inside it."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, since: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + thread_time() - since


class TimedProfiles(Profiles):
    """Rows that measure themselves."""

    def __init__(self, store: RocksStore, cache_rows: int, sections: Sections) -> None:
        super().__init__(store, cache_rows, cache_rows // 2)
        self._sections = sections

    def load(self, keys: Iterable[bytes]) -> Mapping[bytes, Row]:
        listed = list(keys)
        started = thread_time()
        rows = super().load(listed)
        self._sections.add("load rows", started)
        return rows

    def stage(
        self,
        changed: Mapping[bytes, int | None],
        local: Mapping[bytes, int | None],
        stale: Iterable[Timer] = (),
        most_bytes: int = ANY_BYTES,
        turned: Iterable[bytes] = (),
    ) -> Staged:
        started = thread_time()
        staged = super().stage(changed, local, stale, most_bytes, turned)
        self._sections.add("stage rows (encode)", started)
        return staged

    def durable(self, *staged: Staged) -> None:
        started = thread_time()
        super().durable(*staged)
        self._sections.add("store write", started)


@dataclass(frozen=True, slots=True)
class Profile:
    """``sections``: name to µs an event."""

    events: int
    sections: dict[str, float]
    us_per_event: float
    gc_us_per_event: float
    """Python's garbage collector, inside any of the sections."""
    transitions: int
    rows_written: int
    changelog_bytes: int
    functions: str
    """The top of cProfile's list, when asked for."""


def profile(spec: LogSpec, batch_records: int, with_functions: bool) -> Profile:
    """Run the log; the batches are made beforehand and not counted."""
    log = list(batches(generate(spec, "bench.workload.events"), spec.partitions, batch_records))
    with tempfile.TemporaryDirectory(prefix="turnstile-bench-") as folder:
        run = _Run(spec, Path(folder))
        calm_garbage_collector()  # as the worker does; it freezes the prepared log, too
        collector = _Collector()
        gc.callbacks.append(collector)
        recorder = cProfile.Profile() if with_functions else None
        started = thread_time()
        if recorder is not None:
            recorder.enable()
        for batch in log:
            run.take(batch)
        if recorder is not None:
            recorder.disable()
        total = thread_time() - started
        gc.callbacks.remove(collector)
        gc.unfreeze()
        run.close()
    decode = _decode_alone(log)
    seconds = run.sections.seconds
    inside = seconds["load rows"] + seconds["stage rows (encode)"]
    seconds["apply and decide"] = seconds.pop("step") - inside - decode
    seconds = {"decode": decode, **seconds}
    scale = 1e6 / spec.events
    return Profile(
        events=spec.events,
        sections={name: each * scale for name, each in sorted(seconds.items(), key=lambda item: -item[1])},
        us_per_event=total * scale,
        gc_us_per_event=collector.seconds * scale,
        transitions=run.transitions,
        rows_written=run.rows,
        changelog_bytes=run.bytes,
        functions=_top(recorder) if recorder is not None else "",
    )


class _Collector:
    """Time of the garbage collector."""

    def __init__(self) -> None:
        self.seconds = self._since = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        now = thread_time()
        if phase == "start":
            self._since = now
        else:
            self.seconds += now - self._since


class _Run:
    """The steps of ``agents.evaluate.commits``, less the network."""

    def __init__(self, spec: LogSpec, folder: Path) -> None:
        cache = CacheSettings()
        memory = RocksMemory.of(cache.block_bytes, cache.write_buffer_bytes)
        self.sections = Sections()
        self.transitions = self.rows = self.bytes = 0
        self._stores = [RocksStore(folder / str(each), memory) for each in range(spec.partitions)]
        self._pipelines = [
            Pipeline(
                Place(partition, spec.partitions),
                TimedProfiles(store, max(1000, cache.rows // spec.partitions), self.sections),
                Limits(),
            )
            for partition, store in enumerate(self._stores)
        ]
        rules = compiled(bench_audiences())
        for pipeline in self._pipelines:
            pipeline.define(rules)

    def take(self, batch: list[LogRecord]) -> None:
        pipeline = self._pipelines[batch[0].partition]
        started = thread_time()
        step = pipeline.apply(batch)
        self.sections.add("step", started)
        self._acknowledge(pipeline, step)
        while True:
            started = thread_time()
            overdue = pipeline.overdue
            self.sections.add("look for due users", started)
            if not overdue:
                return
            started = thread_time()
            step = pipeline.punctuate(pipeline.stream_time_ms, len(batch))
            self.sections.add("step", started)
            self._acknowledge(pipeline, step)

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def _acknowledge(self, pipeline: Pipeline, step: Step) -> None:
        started = thread_time()
        self.bytes += _build(pipeline.outgoing.records(step))
        self.sections.add("changelog batches", started)
        started = thread_time()
        encoded = [(each.user_id.encode(), *encode_transition(each)) for each in step.transitions]
        self.sections.add("encode transitions", started)
        started = thread_time()
        _build(encoded)
        self.sections.add("transition batches", started)
        acknowledge(pipeline, step)
        self.transitions += len(step.transitions)
        self.rows += len(step.staged.rows)


def _build(records: Iterable[tuple[bytes, bytes | None, Iterable[tuple[str, bytes]]]]) -> int:
    """Produce batches as ``agents.kafka.batches`` builds them; their size in bytes."""
    size = 0
    builder = BatchBuilder(PRODUCE_BATCH_BYTES, 0, is_transactional=False)
    for key, value, headers in records:
        if builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
            size += builder.size()
            builder = BatchBuilder(PRODUCE_BATCH_BYTES, 0, is_transactional=False)
            builder.append(timestamp=None, key=key, value=value, headers=list(headers))
    return int(size + builder.size())


def _decode_alone(log: list[list[LogRecord]]) -> float:
    limit = Limits().max_bytes
    started = thread_time()
    for batch in log:
        for record in batch:
            plain = read_plain(record.value, record.timestamp, limit)
            time_of(plain.time if plain is not None else None, record.timestamp)
    return thread_time() - started


def _top(recorder: cProfile.Profile) -> str:
    import io

    text = io.StringIO()
    pstats.Stats(recorder, stream=text).strip_dirs().sort_stats("tottime").print_stats(TOP)
    return text.getvalue()
