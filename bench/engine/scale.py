"""``bench rules``: the pure pipeline with few and many audiences, and each kind of condition by itself.

No Kafka and no RocksDB: from a record's bytes to transitions and encoded rows, over a store in memory.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from bench.engine.kinds import KINDS
from bench.workload.events import LogRecord
from bench.workload.expected import ALL_ROWS, acknowledge
from bench.workload.rules import bench_audiences, compiled
from rules.compile.rule_set import RuleSet
from rules.model.language import Audience
from rules.parse.definitions import load_definitions
from rules.time.instants import format_instant
from tables.store import MemoryStore

COUNTS = (1, 10, 100, 1_000, 5_000)
CONCERNED = 10
"""Audiences that an event may concern, however many there are."""
STEP_RECORDS = 4_000
STEP_MS = 1_000
BASE_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One rule set over one log. ``engine``: which one computed. ``row_bytes`` is the mean over the users."""

    engine: str
    name: str
    audiences: int
    us_per_event: float
    transitions_per_event: float
    row_bytes: float


def many_audiences(count: int) -> list[Audience]:
    """``count`` audiences of which ``CONCERNED`` ask for the campaign that an event has."""
    rules = (
        "{event: view, where: {campaign: c%d}, count: {gte: %d}, within: %dh}",
        "{all: [{event: view, where: {campaign: c%d}, count: {gte: %d}}, {not: {event: buy, within: %dh}}]}",
    )
    lines = []
    for number in range(count):
        campaign, variant = divmod(number, CONCERNED)
        rule = rules[variant % 2] % (campaign, 1 + variant // 2, 1 + variant)
        lines.append(f"  - {{id: a{number}, name: A {number}, rule: {rule}}}")
    return load_definitions([("bench.yaml", "audiences:\n" + "\n".join(lines))])


def make_log(events: int, users: int, campaigns: int, seed: int = 1) -> list[LogRecord]:
    """Views (nine of ten) and purchases of users who each follow one campaign."""
    random = Random(seed)
    log = []
    for number in range(events):
        at_ms = BASE_MS + number * STEP_MS
        name = "view" if random.random() < 0.9 else "buy"
        user = random.randrange(users)
        value = (
            f'{{"user_id":"u{user}","event":"{name}","time":"{format_instant(at_ms)}",'
            f'"properties":{{"campaign":"c{user % campaigns}","price":{random.randrange(100)},'
            f'"sku":"s{random.randrange(20)}"}}}}'
        )
        log.append(LogRecord(number, at_ms, b"", value.encode(), 0, "bench"))
    return log


def measure(engine: Engine, name: str, rules: RuleSet, log: Sequence[LogRecord], audiences: int) -> Run:
    """CPU time of one pass, garbage collector and all threads included."""
    store = MemoryStore()
    pipeline = engine.pipeline(Place(0, 1), store, Limits(), ALL_ROWS, 1 << 30)
    pipeline.define(rules)
    gc.collect()
    transitions = 0
    started = time.process_time()
    for start in range(0, len(log), STEP_RECORDS):
        step = pipeline.apply(log[start : start + STEP_RECORDS])
        transitions += len(step.transitions)
        acknowledge(pipeline, step)
        while pipeline.overdue:
            step = pipeline.punctuate(pipeline.stream_time_ms, STEP_RECORDS)
            transitions += len(step.transitions)
            acknowledge(pipeline, step)
    seconds = time.process_time() - started
    pipeline.profiles.flush()
    rows = [len(value) for _, value in store.scan(b"", 1 << 30)]
    return Run(
        engine.name,
        name,
        audiences,
        seconds / len(log) * 1e6,
        transitions / len(log),
        sum(rows) / len(rows),
    )


def scale(engine: Engine, events: int, users: int, counts: Iterable[int] = COUNTS) -> list[Run]:
    """The same number of events under more and more audiences."""
    runs = []
    for count in counts:
        rules = compiled(many_audiences(count))
        log = make_log(events, users, max(1, count // CONCERNED))
        runs.append(measure(engine, f"{count:,} audiences", rules, log, count))
    return runs


def kinds(engine: Engine, events: int, users: int) -> list[Run]:
    """Each kind of condition as the only audience, beside the pipeline with none."""
    log = make_log(events, users, 10)
    runs = [measure(engine, "no audience", compiled([]), log, 0)]
    for name, rule in KINDS.items():
        audiences = load_definitions([("bench.yaml", f"{{id: a, name: A, rule: {rule}}}")])
        runs.append(measure(engine, name, compiled(audiences), log, 1))
    return runs


def ordinary(engine: Engine, users: int = 200) -> Run:
    """Users who do much under the 20 audiences of the other benchmarks: the size of their rows."""
    from bench.workload.events import LogSpec, generate

    spec = LogSpec(BASE_MS, 20 * users, users, 1)
    rules, log = compiled(bench_audiences()), list(generate(spec, "bench"))
    return measure(engine, "20 ordinary audiences", rules, log, 20)
