"""The history that a rule looks back over is enough: an audience computed from no more agrees, from its cut
on, with one that was there from the start (docs/semantics.md, section 8a)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from agents.evaluate.steps import Limits
from rules.compile.graft_plan import plan_graft
from rules.compile.rule_set import RuleSet
from rules.model.language import Audience
from rules.model.lookback import lookback_ms, replays_everything
from rules.state.dedupe import dedupe_of
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.grafts import (
    USERS,
    closure,
    compiled,
    new_pipeline,
    noted,
    parsed,
    settled,
    swept,
    time_passes,
)
from tests.driver.partition import Rec
from tests.model.instants import instant_ms
from tests.strategies.definitions import audiences
from tests.strategies.dice import rolled
from tests.strategies.domains import some_domain
from tests.strategies.examples import Example, examples, record_body
from tests.strategies.fuzzing import usual
from tests.strategies.histories import happening

DEFINED_MS = instant_ms("2020-01-01T00:00:00Z") or 0


def log_of(example: Example) -> list[Rec]:
    """Its records, in order of their timestamps. An id comes twice at most: of three, an end isn't enough."""
    log: list[Rec] = []
    wall_ms, times = example.start_ms, Counter[tuple[str, str, str]]()
    for number, (kind, *rest) in enumerate(example.history):
        if kind == "advance":
            wall_ms += rest[0]
        if kind not in ("track", "profile"):
            continue
        wall_ms = max(wall_ms, wall_ms + rest[1])
        body = record_body(kind, tuple(rest), wall_ms, number)
        named = body["user_id"], body.get("event", ""), body.get("id", "")
        times[named] += 1
        if times[named] > 2:
            body.pop("id", None)
        log.append(Rec("events", 0, len(log), wall_ms, body["user_id"].encode(), json.dumps(body).encode()))
    return log


def differences(example: Example, shorter_ms: int = 0) -> Iterator[tuple[str, bool]]:
    """(kind of rule, whether it agreed) of each audience whose lookback has an end, cut in the middle."""
    log, by_id = log_of(example), parsed(example.definitions)
    limits = Limits(dedupe=dedupe_of(example.dedupe_ms, 1000))
    middle = 1 + example.seed % max(1, len(log))
    if len(log) < 2:
        return
    at_ms = log[min(middle, len(log)) - 1].timestamp
    for name, audience in by_id.items():
        asked = [by_id[each] for each in closure([name], by_id)]
        if any(each.schedule is not None and each.schedule.kind == "once" for each in asked):
            continue
        needed_ms = lookback_ms(audience, by_id, example.dedupe_ms, at_ms)
        if needed_ms is None or replays_everything([audience], by_id):
            continue
        rules = compiled([(each, 1) for each in asked], DEFINED_MS)
        begin_ms = min(at_ms, at_ms - needed_ms + shorter_ms)
        yield type(audience.rule).__name__, agrees(log, middle, rules, audience, limits, begin_ms)


def agrees(
    log: list[Rec], middle: int, rules: RuleSet, audience: Audience, limits: Limits, begin_ms: int
) -> bool:
    full, live = new_pipeline(limits), new_pipeline(limits)
    full.define(rules)
    swept(full)
    for record in log[:middle]:
        settled(full, full.apply([record]))
        settled(live, live.apply([record]))
    cut(live, rules, [record for record in log[:middle] if record.timestamp >= begin_ms], begin_ms)
    swept(live)
    for record in [None, *log[middle:]]:
        for pipeline in (full, live):
            if record is not None:
                settled(pipeline, pipeline.apply([record]))
            time_passes(pipeline, pipeline.stream_time_ms)
        if any(is_in(full, user, audience) != is_in(live, user, audience) for user in USERS):
            return False
    return True


def cut(live: Pipeline, rules: RuleSet, history: list[Rec], begin_ms: int) -> None:
    old, new = live.rules.project("default"), rules.project("default")
    plan = plan_graft(old, new, {each.id: "backfill" for each in new.audiences}, begin_ms=begin_ms)
    shadow = Shadow(live, Profiles(MemoryStore(), 3), rules, begin_ms)
    if history:
        shadow.take(history)
    time_passes(live, live.stream_time_ms)
    shadow.reach(live.stream_time_ms)
    shadow.flush()
    versions = {f"default/{each.id}": 1 for each in new.audiences}
    settled(live, live.cut(noted(live, plan, versions), rules, shadow))


def is_in(pipeline: Pipeline, user_id: str, audience: Audience) -> bool:
    row = pipeline.look("default", user_id, pipeline.stream_time_ms)
    compiled_audience = pipeline.rules.project("default").by_id(audience.id)
    return row is not None and compiled_audience is not None and row.is_in(compiled_audience.key)


@settings(max_examples=usual(100), deadline=None)
@given(examples())
def test_the_history_of_the_lookback_is_enough(example: Example) -> None:
    for kind, agreed in differences(example):
        assert agreed, kind


@pytest.mark.slow
def test_two_milliseconds_less_are_not() -> None:
    """The first of them is the begin itself, which only ``for:`` needs."""
    seeds = range(800, 1200)  # some of their examples show it
    short, whole = (
        Counter(kind for seed in seeds for kind, agreed in differences(made(seed), shorter) if not agreed)
        for shorter in (2, 0)
    )
    assert not whole
    assert short


def made(seed: int) -> Example:
    """Without deduplication, so that nothing is added to the lookback."""
    dice = rolled(seed)
    domain = some_domain(dice)
    definitions = audiences(dice, domain)
    history = [happening(dice.whole(0, 2**30), domain) for _ in range(20)]
    return Example(domain.start_ms, definitions, history, domain.start_ms, 0, dice.whole(0, 2**16))
