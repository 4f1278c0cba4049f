"""Nothing in a record's data raises out of the pipeline, whatever the rules ask of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.evaluate.parts import read_parts
from agents.evaluate.steps import Limits
from agents.formats.native import Native
from agents.formats.refused import RecordRefused
from agents.kafka.consumed import Consumed
from agents.kafka.placement import Place
from rules.parse.predicate import REF_OPERANDS
from rules.predicates.operators import OPERATORS
from tests.driver.driver import Driver
from tests.strategies.fuzzing import usual

T = 1_700_000_000_000
OPERANDS: dict[str, list[Any]] = {
    "scalar": ["a", 1, True, None],
    "scalars": [["a", 1, None]],
    "text": ["a"],
    "orderable": [1, "2024-05-01"],
    "range": [[0, 2], ["2024-05-01", "2024-06-01"]],
    "pattern": ["^.a?$"],
    "flag": [True, False],
    "duration": ["5ms"],
    "durations": [["1d", "2d"]],
    "anniversary": [{"within": "1d"}],
    "where": [{"q": 1, "p[]": "a"}, {"q": {"newer_than": "1d"}}],
}
TESTS = [{each.name: operand} for each in OPERATORS.values() for operand in OPERANDS[each.operand]]
AGGREGATES: list[dict[str, Any]] = [
    {"count": {"eq": 2}},
    {"sum": {"property": "p", "gte": 1}},
    {"sum": {"property": "p.q", "lt": 0}},
    {"distinct": {"property": "p", "gte": 2}},
    *({kind: {"property": "p", "lt": 1}} for kind in ("avg", "min", "max")),
    *({kind: {"property": "p", "eq": "a"}} for kind in ("first", "last")),
    *({kind: {"property": "p[].q", "eq": 1}} for kind in ("sum", "avg", "max", "distinct", "first", "last")),
    *({kind: {"gte": "2ms"}} for kind in ("since_first", "since_last")),
    {"days": {"eq": 1}},
]
WINDOWS: list[dict[str, Any]] = [
    {},
    {"within": "5ms"},
    {"between_ago": ["5ms", "2ms"]},
    {"from": T, "to": T + 5},
    {"period": "today"},
    {"within": {"audience": "a0"}},
]
REFS = [{each.name: {"ref": "a.p"}} for each in OPERATORS.values() if each.operand in REF_OPERANDS]
RULES: list[dict[str, Any]] = [
    *({"event": "*", "where": {name: test}} for test in TESTS for name in ("p", "p.q", "p[].q")),
    *({"attribute": name} | test for test in TESTS for name in ("p", "p.q", "p[]")),
    *({"attribute": name, "changed_within": "5ms"} for name in ("p", "p.q")),
    *({"event": "*"} | each | window for each in AGGREGATES for window in WINDOWS),
    *({"event": "*", "last": {"property": "p"} | test} for test in TESTS),
    *({"sequence": [{"event": "*", "as": "a"}, {"event": "*", "where": {"q": ref}}]} for ref in REFS),
    *(
        {"event": "*", "not_followed_by": {"event": "*", "where": {name: ref}}, "for": "2ms"}
        for ref in REFS
        for name in ("q", "p[].q")
    ),
    {
        "sequence": [{"event": "*"}, {"event": "e"}],
        "without": {"event": "*", "where": {"p": 1}},
        "total": "5ms",
    },
    {"at_least": 1, "of": [{"audience": "a0"}, {"audience": "a1", "for": "5ms"}]},
    {"score": [{"when": {"audience": "a2"}, "points": -1e308}], "lte": 0},
]
BATCH = {"type": "batch", "timezone": "America/Havana", "schedule": "daily"}
BATCHED = [rule for rule in RULES if "anniversary" not in rule][::5]
DEFINITIONS = json.dumps(
    {
        "audiences": [
            *({"id": f"a{at}", "name": f"A{at}", "rule": rule} for at, rule in enumerate(RULES)),
            *({"id": f"b{at}", "name": f"B{at}", "rule": rule} | BATCH for at, rule in enumerate(BATCHED)),
        ]
    }
)
numbers = st.integers() | st.integers(-(2**64), 2**64) | st.floats()
strings = st.text(max_size=8) | st.sampled_from(
    ["\ud800", "\0", "\0true", "2024-13-45", "9999-12-31T23:59:60Z", "0001-01-01T00:00:00+23:59", "x" * 70]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["p", "q", ""]) | strings, inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["p", "q"]), values, max_size=2)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(["ann", "bob"]) | values,
        "type": st.sampled_from(["track", "profile"]) | values,
        **dict.fromkeys(("id", "project", "event", "time", "identities", "zzz"), values),
        **dict.fromkeys(("properties", "set", "set_once", "add"), objects | values),
        "unset": st.lists(strings, max_size=2) | values,
    },
)
timestamps = st.integers(T, T + 9) | st.integers(-(2**63), 2**63 - 1)
NO_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def fill(update: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": "ann", "event": "e", **update}


records = st.one_of(
    objects.map(lambda found: fill({"properties": found})),
    objects.map(lambda found: fill({"type": "profile", "set": found})),
    st.dictionaries(st.just("p"), numbers).map(lambda found: fill({"type": "profile", "add": found})),
    bodies.map(fill),
    bodies,
    values,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=NO_CHECKS)
@given(st.lists(st.tuples(records | st.binary(max_size=9) | st.none(), timestamps), min_size=1, max_size=8))
def test_any_records_end_in_state_or_in_a_dead_letter(log: list[tuple[bytes | None, int]]) -> None:
    driver = Driver(DEFINITIONS)
    for value, timestamp in log:
        driver.send(value, timestamp)
    (step,) = steps_of(driver)
    counts = step.counts
    assert counts.applied + counts.repeated + counts.dead >= len(log)  # a list counts as what it holds
    driver.run()
    driver.advance(driver.pipeline.stream_time_ms + 10)
    driver.restart(lose_store=True)
    for user in ("ann", "bob"):
        driver.members(user, T + 20)


def steps_of(driver: Driver) -> list[Any]:
    part = driver.parts[0]
    part.driver.in_flight = 1
    part.take(500)
    return [step for step, _ in part.computed]


@settings(max_examples=usual(150), deadline=None)
@given(records | st.binary(max_size=30), timestamps)
def test_reading_refuses_or_gives_a_time(value: bytes, timestamp: int) -> None:
    where = Consumed("events", 0, 0, timestamp, None, value, ())
    try:
        parts = read_parts(Place(0, 1), where, Native(), Limits(max_bytes=1000))
    except RecordRefused as refusal:
        msgspec.json.encode([refusal.code, refusal.stage, str(refusal)])
        return
    for part in parts:
        if isinstance(part.decoded, RecordRefused):
            msgspec.json.encode([part.decoded.code, part.decoded.stage, str(part.decoded)])
        else:
            assert part.decoded is not None
