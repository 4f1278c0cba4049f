"""Both engines give the same steps, rows, outboxes, checkpoints and dead letters, also when the engine
changes. At length over the native core only; ``make fuzz`` asks for more examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import CHANGELOG_BYTES, Limits
from rules.compile.destination import EventDestination
from rules.compile.with_destinations import EventDestinations
from rules.model import language
from rules.state.dedupe import dedupe_of
from tests.core.engines import either, forgetful, is_built, native_engine
from tests.driver.driver import Driver
from tests.driver.partition import Part
from tests.strategies.agreement import agree
from tests.strategies.examples import Example, examples, record_body
from tests.strategies.fuzzing import IS_FUZZING, examples_of
from tests.strategies.histories import RECORDS

ALIKE = not IS_FUZZING
"""The same examples in each run, because the bytes of some rows depend on the cache: a row in memory may have
a later ``now_ms`` than the stored one, after records that changed nothing."""
NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=10, derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples(), st.integers(0, 2**16))
def test_with_either_engine_after_each_crash_the_transitions_are_the_models(
    example: Example, seed: int
) -> None:
    agree(example, engine=either(seed))


@settings(max_examples=10, derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples(), st.integers(0, 2**16))
def test_all_that_is_written_is_the_same_whichever_engine_computes(example: Example, seed: int) -> None:
    python, native = (_written(example, seed, engine) for engine in (Engine, native_engine))
    assert native == python


@settings(max_examples=10, derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples(), st.integers(0, 2**16))
def test_all_that_is_written_is_the_same_when_the_engine_changes(example: Example, seed: int) -> None:
    assert _written(example, seed, either(seed)) == _written(example, seed, Engine)


@settings(max_examples=10, derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples(), st.integers(0, 2**16))
def test_all_that_is_written_is_the_same_when_the_core_knows_the_rules_only_at_times(
    example: Example, seed: int
) -> None:
    assert _written(example, seed, forgetful(seed)) == _written(example, seed, Engine)


def _agree_at_length(example: Example, seed: int) -> None:
    agree(example, engine=either(seed))


def _same_at_length(example: Example, seed: int) -> None:
    assert _written(example, seed, native_engine) == _written(example, seed, Engine)


def _same_at_length_when_the_engine_changes(example: Example, seed: int) -> None:
    assert _written(example, seed, either(seed)) == _written(example, seed, Engine)


def _same_at_length_when_the_core_knows_the_rules_only_at_times(example: Example, seed: int) -> None:
    assert _written(example, seed, forgetful(seed)) == _written(example, seed, Engine)


@pytest.mark.slow
@pytest.mark.skipif(not is_built(), reason="the native core isn't built: `make core`")
@pytest.mark.parametrize(
    "check",
    [
        _agree_at_length,
        _same_at_length,
        _same_at_length_when_the_engine_changes,
        _same_at_length_when_the_core_knows_the_rules_only_at_times,
    ],
)
def test_the_engines_agree_at_length(check: Callable[[Example, int], None]) -> None:
    run = given(examples(), st.integers(0, 2**16))(check)
    at_length = settings(
        max_examples=examples_of(160), derandomize=ALIKE, deadline=None, suppress_health_check=NO_CHECKS
    )
    at_length(run)()


def _written(example: Example, seed: int, engine: Any) -> dict[str, Any]:
    """Changelog, store and outputs of a run with orderly restarts."""
    random = Random(seed)
    driver = Driver(
        json.dumps({"audiences": example.definitions}),
        limits=Limits(
            dedupe=dedupe_of(example.dedupe_ms, random.choice([3, 1000])),
            step_transitions=random.choice([2, 4_000]),
            max_bytes=random.choice([200, 512 * 1024]),
            max_attributes_bytes=random.choice([60, 256 * 1024]),
            changelog_bytes=random.choice([700, CHANGELOG_BYTES]),
        ),
        partitions=random.choice([1, 3]),
        cache_rows=random.choice([2, 100]),
        behind_rows=random.choice([0, 7]),
        in_flight=random.randrange(3),
        cycle_steps=random.choice([1, 1, 2, 3]),
        outbox_bytes=random.choice([None, 300]),
        created_ms=example.created_ms,
        engine=engine,
    )
    driver.destinations = _destinations(example, random)
    for part in driver.parts:
        part.pipeline.send(driver.destinations)
    wall_ms = example.start_ms
    for number, (kind, *rest) in enumerate(example.history):
        if kind in RECORDS:
            wall_ms += rest[1]
            place = random.randrange(len(driver.parts))
            driver.send(record_body(kind, tuple(rest), wall_ms, number), wall_ms, partition=place)
            if random.random() < 0.1:
                driver.send(random.choice(ODD), wall_ms, partition=place)
        if random.random() < 0.4:
            driver.run(lambda: random.choice([1, 3, 20]))
        if kind == "advance":
            driver.advance(wall_ms + rest[0], rest[1])
        if random.random() < 0.2:
            for part in driver.parts:
                part.pipeline.define(driver.rules)
        if random.random() < 0.1:
            driver.run()
            driver.commit_offsets()
            driver.restart(lose_store=random.random() < 0.3)
    driver.run()
    return {
        "parts": [_kept(part) for part in driver.parts],
        "transitions": list(driver.sent.items()),
        "headers": driver.sent_headers,
        "claims": sorted(driver.claims, key=repr),
        "dead": [(each.code, each.message, each.record.value) for each in driver.dead],
        "repeated": driver.repeated,
        "repartitioned": driver.repartitioned,
    }


def _destinations(example: Example, random: Random) -> EventDestinations:
    """Some of the audiences' members, and everybody."""
    audiences = [(each.get("project", "default"), each["id"]) for each in example.definitions]
    wanted = [EventDestination("default", "everything")] if random.random() < 0.3 else []
    for name in ("some", "others"):
        named = random.sample(audiences, random.randint(0, len(audiences)))
        ids = frozenset(each for project, each in named if project == "default")
        events = (
            language.EventPattern(("view",), language.Test(("page",), "eq", "cart")),
            language.EventPattern(("buy",), None),
        )
        wanted.append(EventDestination("default", name, ids, random.choice([(), events])))
    return EventDestinations(wanted)


def _kept(part: Part) -> dict[str, Any]:
    """The changelog and the store of a partition."""
    part.pipeline.flush()
    store = part.store
    return {
        "changelog": part.changelog,
        "rows": store.scan(b"", 1_000_000),
        "timers": store.timers(-(1 << 61), 1 << 61, 1_000_000),
        "members": {each: store.members(each, b"", 1_000_000) for each in store.sizes()},
        "meta": store.meta(),
    }


ODD = [
    b"",
    b"{",
    b"{}",
    b"null",
    b"[]",
    b'[{"user_id": "ann", "event": "view"}, {"user_id": "bob", "event": "buy"}]',
    b'{"user_id": 7, "event": "view"}',
    b'{"user_id": "ann", "event": "view", "identities": {"email": null, "phone": ""}}',
    b'{"user_id": "ann", "event": "view", "time": "noon"}',
    b'{"user_id": "ann", "event": "view", "properties": {"p": {"n": [1, 2]}}}',
    b'{"user_id": "ann", "event": "buy", "properties": {"p": 123456789012345678901234567890}}',
]
