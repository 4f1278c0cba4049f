"""Audiences published into a running partition, beside a partition that had them from the start."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse, takewhile
from random import Random
from typing import Any

from agents.backfill.replay.skip import Sieve, Taken
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place
from rules.compile.audience import PublishedAudience
from rules.compile.graft_plan import NO_GRAFT, Graft, plan_graft
from rules.compile.rule_set import RuleSet, compile_rules
from rules.model import language
from rules.model.computation import same_computation
from rules.model.lookback import lookback_ms, replays_everything
from rules.parse.definitions import load_definitions
from rules.state.row import Cause, Transition
from tables.codec import row_key
from tables.cut import Cut
from tables.member_index import count_rows
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.driver.partition import Rec

Json = Any
Audiences = Mapping[str, language.Audience]
HISTORY = "events-history"
USERS = ("ann", "bob", "cy")
Members = dict[str, tuple[int, int | None]]
"""By audience: since when, and until when if nothing happens."""


def new_pipeline(limits: Limits, cache_rows: int = 100) -> Pipeline:
    return Pipeline(Place(0, 1), Profiles(MemoryStore(), cache_rows), limits)


def settled(pipeline: Pipeline, step: Step) -> list[Transition]:
    pipeline.durable([step])
    if (burial := pipeline.bury()) is not None:
        pipeline.durable([burial])
    store = pipeline.profiles.store
    assert store.sizes() == count_rows(store), "the index of members doesn't follow the rows"
    return step.transitions


def time_passes(pipeline: Pipeline, to_ms: int, users: int = 2) -> list[Transition]:
    made = settled(pipeline, pipeline.punctuate(to_ms, users))
    while pipeline.overdue:
        made += settled(pipeline, pipeline.punctuate(to_ms, users))
    return made


def swept(pipeline: Pipeline, users: int = 1) -> list[Transition]:
    made: list[Transition] = []
    while pipeline.sweeping:
        made += settled(pipeline, pipeline.sweep(users))
    return made


def compiled(audiences: Iterable[tuple[language.Audience, int]], created_ms: int) -> RuleSet:
    return compile_rules(
        [PublishedAudience(each, version, created_ms=created_ms) for each, version in audiences]
    )


def closure(wanted: Iterable[str], by_id: Audiences) -> list[str]:
    """The audiences and those that they ask about."""
    found: dict[str, None] = {}
    waiting = [*wanted]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += language.references(by_id[name].rule)
    return sorted(found)


def parsed(definitions: Sequence[Json]) -> dict[str, language.Audience]:
    if not definitions:
        return {}
    found = load_definitions([("x.json", json.dumps({"audiences": definitions}))], 1000)
    return {each.id: each for each in found}


@dataclass(frozen=True)
class Way:
    """How a shadow comes by what it knows."""

    history: Sequence[Rec] = ()
    """Records of a history topic; with them each cut takes all audiences anew."""
    skips: bool = False
    trims: bool = False
    """It begins where the lookback of what it computes begins."""
    cache_rows: int = 3
    batches: Sequence[int] = (1, 3, 50)
    """So many records at once."""


@dataclass
class Publication:
    """A running partition, and what it does when definitions come, change and go."""

    live: Pipeline
    created_ms: int
    way: Way = Way()
    dedupe_ms: int = 0
    active: dict[str, PublishedAudience] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    plan: Graft = NO_GRAFT
    """Of the last cut."""
    shadow: Shadow | None = None
    """Likewise."""

    def prepare(self, wanted: Audiences) -> tuple[dict[str, PublishedAudience], dict[str, Cause]]:
        """What is active after the cut, deleted ones too, and what must be computed."""
        changed: dict[str, Cause] = {}
        after = {}
        for name, published in self.active.items():
            after[name] = (
                published if published.deleted or name in wanted else self._next(published.audience, True)
            )
        for name, audience in wanted.items():
            before = self.active.get(name)
            if before is None or before.deleted:
                changed[name] = "backfill"
            elif not same_computation(before.audience, audience):
                changed[name] = "definition"
            if before is None or before.deleted or before.audience != audience or self.way.history:
                after[name] = self._next(audience, False)
        if self.way.history:
            changed = dict.fromkeys(wanted, "backfill")
        return after, changed

    def _next(self, audience: language.Audience, deleted: bool) -> PublishedAudience:
        self.versions[audience.id] += 1
        return PublishedAudience(audience, self.versions[audience.id], deleted, self.created_ms)

    def cut(self, wanted: Audiences, log: Sequence[Rec], rng: Random) -> list[Transition]:
        """Compute what is new or changed, and cut; returns what came before."""
        live = self.live
        after, changed = self.prepare(wanted)
        came = time_passes(live, live.stream_time_ms)
        rules = compile_rules(list(after.values()))
        old, new = live.rules.project("default"), rules.project("default")
        self.plan, self.shadow = NO_GRAFT, None
        if changed:
            begin, begin_ms = self._begin(wanted, changed, log, new) if self.way.trims else (0, 0)
            self.plan = plan_graft(old, new, changed, changed if self.way.history else (), {}, begin_ms)
            ids = [new.by_key[key].id for key in self.plan.targets]
            shadow_rules = compile_rules([after[name] for name in closure(ids, wanted)])
            profiles = Profiles(MemoryStore(), self.way.cache_rows)
            self.shadow = Shadow(live, profiles, shadow_rules, begin_ms, {HISTORY})
            self._replay(self.shadow, log[begin:], rng)
        active = {f"default/{name}": each.version for name, each in after.items()}
        cut = noted(live, self.plan, active, "shadow" if self.shadow is not None else "")
        came += settled(live, live.cut(cut, rules, self.shadow))
        self.active = after
        return came

    def _begin(
        self, wanted: Audiences, changed: Iterable[str], log: Sequence[Rec], new: Any
    ) -> tuple[int, int]:
        """Where all that the changed audiences look back on begins: in the log, and when."""
        plan = plan_graft(self.live.rules.project("default"), new, dict.fromkeys(changed, "definition"))
        targets = [wanted[new.by_key[key].id] for key in plan.targets]
        lengths = [lookback_ms(each, wanted, self.dedupe_ms, self.live.stream_time_ms) for each in targets]
        if None in lengths or replays_everything(targets, wanted):
            return 0, 0
        begin_ms = self.live.stream_time_ms - max(each for each in lengths if each is not None) + 1
        clock_ms = 0
        for at, record in enumerate(log):
            clock_ms = max(clock_ms, record.timestamp)
            if clock_ms >= begin_ms:
                return (at, begin_ms) if at else (0, 0)
        return len(log), begin_ms

    def _replay(self, shadow: Shadow, log: Sequence[Rec], rng: Random) -> None:
        for records in (self.way.history, log):
            at = 0
            while at < len(records):
                size = rng.choice(self.way.batches)
                if self.way.skips:
                    sift(shadow, records[at : at + size])
                else:
                    shadow.take(records[at : at + size])
                at += size
        shadow.reach(self.live.stream_time_ms)
        shadow.flush()


def noted(live: Pipeline, plan: Graft, active: dict[str, int], shadow: str = "shadow") -> Cut:
    return Cut(
        live.epoch + bool(shadow),
        active,
        live.stream_time_ms,
        dict(live.positions.offsets),
        shadow,
        plan.begin_ms,
        {"default": dict(plan.targets)},
        {"default": sorted(plan.fresh)},
        {"default": sorted(plan.silent)},
    )


def sift(shadow: Shadow, records: Sequence[Rec]) -> None:
    sieve = Sieve(shadow.rules, {}, shadow.place.repartition_topic, {HISTORY})
    for part in sieve.sift(records):
        if isinstance(part, Taken):
            shadow.take(part.records)
        else:
            shadow.skip(part.topic, part.partition, part.last_offset, part.timestamp_ms)


def inside(pipeline: Pipeline, user_id: str) -> dict[str, int]:
    """By audience, since when the stored row is in; timers of the clock's instant are open."""
    row = pipeline.profiles.read(row_key("default", user_id))
    by_key = {each.key: each.id for each in pipeline.rules.project("default").audiences}
    by_key |= {key: each.audience.id for key, each in pipeline.rules.project("default").gone.items()}
    if row is None:
        return {}
    return {by_key[key]: row.since_ms(each) for key, each in row.audiences.items() if each.inside}


def looked_up(pipeline: Pipeline, user_id: str, at_ms: int) -> dict[str, int] | None:
    """The same from a lookup, decided up to ``at_ms``; None: no such user."""
    row = pipeline.look("default", user_id, at_ms)
    if row is None:
        return None
    by_key = pipeline.rules.project("default").by_key
    return {by_key[key].id: row.since_ms(each) for key, each in row.audiences.items() if each.inside}


def members(pipeline: Pipeline, user_id: str, at_ms: int) -> Members | None:
    found = looked_up(pipeline, user_id, at_ms)
    return None if found is None else {name: (since_ms, None) for name, since_ms in found.items()}


def at_cut(made: Sequence[Transition], is_grafted: bool) -> tuple[list[Transition], list[Transition]]:
    """A user's transitions that come of definitions, and the others. Grafts come before anything else."""
    if is_grafted:
        first = list(takewhile(_is_of_definitions, made))
        return first, list(made[len(first) :])
    return [*filter(_is_of_definitions, made)], [*filterfalse(_is_of_definitions, made)]


def _is_of_definitions(each: Transition) -> bool:
    return each.cause in ("backfill", "definition")
