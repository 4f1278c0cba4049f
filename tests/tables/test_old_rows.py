"""Rows that an older program stored are gone on with, as if the program had always been this one."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from bench.workload.events import LogRecord
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.conditions.batch import BatchCondition
from rules.parse.definitions import load_definitions
from rules.state.condition import AnyCondition
from rules.state.event_times import instants
from rules.state.row import Row
from tables.codec import decode_row, encode_row
from tables.profiles import Profiles
from tables.store import MemoryStore, Write

T = 1_700_000_000_000
HOUR_MS = 3_600_000
RULES = """audiences:
  - {id: a, name: A, rule: {event: e, count: {gte: 3}, within: 1h}}
  - {id: b, name: B, rule: {event: e, sum: {property: p, gte: 30}, within: 1h}}
  - {id: c, name: C, rule: {event: e, distinct: {property: p, gte: 3}, within: 1h}}
  - {id: d, name: D, rule: {event: e, where: {on: {newer_than: 30d}}, count: {gte: 3}, within: 1h}}
  - {id: f, name: F, rule: {event: e, count: {gte: 3}}}
  - {id: m, name: M, rule: {event: e, within: 1h}}
  - {id: n, name: N, type: batch, schedule: 0 * * * *, rule: {event: e, count: {gte: 3}, within: 2h}}
  - {id: o, name: O, type: batch, schedule: 0 * * * *,
     rule: {event: e, sum: {property: p, gte: 30}, within: 2h}}
  - {id: p, name: P, type: batch, schedule: 0 * * * *,
     rule: {event: e, distinct: {property: p, gte: 3}, within: 2h}}
"""
PROJECT = compile_rules([PublishedAudience(each, 1) for each in load_definitions([("a.yaml", RULES)])])


def pipeline_over(store: MemoryStore) -> Pipeline:
    pipeline = Pipeline(Place(0, 1), Profiles(store, 10), Limits())
    pipeline.define(PROJECT)
    return pipeline


def event(number: int, at_ms: int) -> LogRecord:
    value = (
        f'{{"user_id":"u","event":"e","id":"{number}","properties":{{"p":{10 + number},"on":"2023-11-14"}}}}'
    )
    return LogRecord(number, at_ms, b"", value.encode(), 0, "events")


def as_of_version_1(row: Row) -> bytes:
    """The row as an older program would have stored it."""
    conditions = PROJECT.project("default").conditions
    states = {key: old_state(conditions[key], row, state) for key, state in row.conditions.items()}
    ids = [row.seen[at : at + 6] + b"\0\0" for at in range(0, len(row.seen), 6)]
    seen = T.to_bytes(8, "big") + b"".join(
        each + number.to_bytes(4, "big") for number, each in enumerate(ids)
    )
    audiences = {key: [each.seq, row.since_ms(each), 1] for key, each in row.audiences.items()}
    fields = [row.now_ms, row.timer_ms, row.applied, states, audiences, {}, {}, {}, seen]
    return b"\x01" + msgspec.msgpack.encode(fields)


def old_state(condition: AnyCondition, row: Row, state: Any) -> Any:
    if isinstance(condition, BatchCondition):
        times, accumulators = state[0]
        values = [value for (value,) in accumulators]
        kind = condition.source.aggregate.kind  # type: ignore[union-attr]
        if kind == "count":
            return [times]
        return [[times, values, [float(sum(values))]] if kind == "sum" else [times, values]]
    if isinstance(state, str):
        return instants(row, state)
    return [instants(row, state[0]), *state[1:]] if isinstance(state[0], str) else state


def test_a_row_of_version_1_gives_the_transitions_that_it_would_have_given() -> None:
    old, new = MemoryStore(), MemoryStore()
    pipeline = pipeline_over(new)
    for number in (0, 1):
        pipeline.profiles.durable(pipeline.apply([event(number, T + number)]).staged)
    (value,) = new.get_many([b"u"])
    assert value is not None
    old_value = as_of_version_1(decode_row(value))
    assert decode_row(old_value).used < 0
    old.write(Write(rows=[(b"u", old_value)]))
    told = []
    for store in (old, new):
        pipeline = pipeline_over(store)
        records = [event(1, T + 2), event(2, T + 3), event(3, T + HOUR_MS - 1), event(4, T + 2 * HOUR_MS)]
        steps = [pipeline.apply([each]) for each in records]
        assert steps[0].counts.repeated == 1
        told.append([each for step in steps for each in step.transitions])
        row = pipeline.profiles.load([b"u"])[b"u"]
        assert decode_row(encode_row(row)) == row
    assert told[0] == told[1]
    assert {each.audience for each in told[0]} >= set("abcdfnop")
