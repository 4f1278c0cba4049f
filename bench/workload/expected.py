"""What a log must give: the pure pipeline over it, without Kafka. Every bench run is held against this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.evaluate.transitions import encode_transition
from agents.kafka.placement import Place
from bench.workload.events import LogRecord, LogSpec, generate
from bench.workload.rules import compiled, conditions_of
from rules.compile.rule_set import RuleSet
from rules.model.language import Audience
from rules.state.row import Transition
from tables.profiles import Profiles
from tables.store import MemoryStore, RowStore

BATCH = 500
ALL_ROWS = 1 << 40


@dataclass(frozen=True, slots=True)
class Expected:
    """``by_records`` are decided by records alone; ``by_then`` are those and the timers of users without a
    record after them, up to each partition's last record (``ends_ms``). ``digest`` stands for all that the
    latter say (``fingerprint``), whatever their order."""

    by_records: int
    by_then: int
    digest: int
    ends_ms: tuple[int, ...]
    evaluations_per_event: float


ID_ENDS = len('{"id":"') + 32 + len('",')
"""In a body: the id comes first. A peer may number in its own way, so the id counts by what it stands for."""


def fingerprint(key: bytes, timestamp_ms: int, body: bytes) -> int:
    """Of one transition: user, instant, and the body without its id."""
    text = b"%b %d %b" % (key, timestamp_ms, body[ID_ENDS:])
    return int.from_bytes(blake2b(text, digest_size=16).digest())


class _Named(msgspec.Struct):
    event: str


_name_of = msgspec.json.Decoder(_Named).decode


def pipelines_of(partitions: int, rules: RuleSet, stores: Sequence[RowStore], cache: int) -> list[Pipeline]:
    made = [
        Pipeline(Place(partition, partitions), Profiles(stores[partition], cache), Limits())
        for partition in range(partitions)
    ]
    for pipeline in made:
        pipeline.define(rules)
    return made


def batches(log: Iterable[LogRecord], partitions: int, size: int = BATCH) -> Iterator[list[LogRecord]]:
    """The log cut into batches of one partition each."""
    waiting: list[list[LogRecord]] = [[] for _ in range(partitions)]
    for record in log:
        batch = waiting[record.partition]
        batch.append(record)
        if len(batch) == size:
            yield batch
            waiting[record.partition] = []
    yield from (batch for batch in waiting if batch)


def acknowledge(pipeline: Pipeline, step: Step) -> None:
    """As if Kafka had taken everything at once."""
    pipeline.acked(step)
    pipeline.profiles.durable(step.staged)


def expect(spec: LogSpec, audiences: Sequence[Audience], topic: str = "bench") -> Expected:
    """Run the log through pipelines in memory; takes about 20 µs an event."""
    rules = compiled(audiences)
    count = spec.partitions
    pipelines = pipelines_of(count, rules, [MemoryStore() for _ in range(count)], ALL_ROWS)
    by_records = by_then = digest = evaluations = 0

    def take(transitions: Sequence[Transition]) -> None:
        nonlocal by_then, digest
        for each in transitions:
            by_then += 1
            digest ^= fingerprint(each.user_id.encode(), each.at_ms, encode_transition(each)[0])

    for batch in batches(generate(spec, topic), count):
        pipeline = pipelines[batch[0].partition]
        evaluations += sum(conditions_of(rules, _name_of(record.value).event) for record in batch)
        step = pipeline.apply(batch)
        by_records += len(step.transitions)
        take(step.transitions)
        acknowledge(pipeline, step)
    ends = tuple(pipeline.stream_time_ms for pipeline in pipelines)
    for pipeline, end_ms in zip(pipelines, ends, strict=True):
        more = True
        while more:
            step = pipeline.punctuate(end_ms + 1, BATCH)  # timers due at the end itself are still in the log
            take(step.transitions)
            acknowledge(pipeline, step)
            more = pipeline.overdue
    return Expected(by_records, by_then, digest, ends, evaluations / max(1, spec.events))
