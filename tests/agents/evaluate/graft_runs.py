"""A random log under definitions that come, change and go, held against partitions that had them always."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from rules.decide.predict import predict_exit
from rules.state.dedupe import dedupe_of
from rules.state.row import Transition
from tables.codec import row_key
from tests.agents.evaluate.grafts import (
    HISTORY,
    USERS,
    Audiences,
    Publication,
    Way,
    at_cut,
    compiled,
    inside,
    looked_up,
    new_pipeline,
    parsed,
    settled,
    swept,
    time_passes,
)
from tests.driver.partition import Rec
from tests.strategies.examples import Example, record_body
from tests.strategies.histories import RECORDS

Json = Any
Op = Rec | int
"""A record, or an instant to which idle time passes."""


def agree(example: Example, stats: Counter[str], history: bool = False, trims: bool = False) -> None:
    """After each of some publications the partition goes on like one that had the definitions always."""
    rng = Random(example.seed)
    ops, before = operations(example, rng, history)
    way = Way(before, skips=rng.random() < 0.5, trims=trims)
    stages = [
        earlier(example.definitions, rng),
        earlier(example.definitions, rng),
        parsed(example.definitions),
    ]
    run = Run(example, way, rng, stats)
    cuts = sorted(rng.randrange(len(ops) + 1) for _ in stages)
    for number, op in enumerate([*ops, None]):
        while cuts and cuts[0] == number:
            cuts.pop(0)
            run.cut(stages.pop(0))
        if op is not None:
            run.take(op)
    run.end()
    stats["examples"] += 1


def operations(example: Example, rng: Random, history: bool) -> tuple[list[Op], list[Rec]]:
    """The example's happenings, and those of its first records that lie in a history topic."""
    wall_ms, idle_ms, clock_ms = example.start_ms, 0, 0
    ops: list[Op] = []
    split = rng.randrange(len(example.history)) if history else 0
    before: list[Rec] = []
    for number, (kind, *rest) in enumerate(example.history):
        if kind in RECORDS:
            # What an idle partition's clock did is not in the log: records behind it are another matter.
            wall_ms = max(wall_ms + rest[1], idle_ms, before[-1].timestamp if before else 0)
            body = record_body(kind, rest, wall_ms, number)
            key, value = body["user_id"].encode(), json.dumps(body).encode()
            if number < split:
                before.append(Rec(HISTORY, 0, len(before), wall_ms, key, value))
            else:
                ops.append(Rec("events", 0, len(ops), wall_ms, key, value))
            clock_ms = max(clock_ms, wall_ms)
        elif kind == "advance" and number >= split:
            wall_ms = idle_ms = max(wall_ms, clock_ms) + rest[0]
            clock_ms = wall_ms
            ops.append(wall_ms)
        elif kind == "look" and number >= split:
            ops.append(-1)
    return ops, before


class Run:
    """``live`` gets definitions late; ``full`` is one that had those of the last cut from the start."""

    def __init__(self, example: Example, way: Way, rng: Random, stats: Counter[str]) -> None:
        self.limits = Limits(dedupe=dedupe_of(example.dedupe_ms, 1000))
        self.created_ms, self.rng, self.stats = example.created_ms, rng, stats
        live = new_pipeline(self.limits, rng.choice([2, 100]))
        self.publication = Publication(live, self.created_ms, way, example.dedupe_ms)
        self.full = new_pipeline(self.limits)
        self.ops: list[Op] = []
        self.seqs: Counter[tuple[str, str]] = Counter()
        self.is_cut, self.cut_ms = False, 0
        self.wanted: dict[str, dict[str, tuple[int | None, int | None, str]]] = {}
        """By user and audience, of the transitions at the cut: entered_at, exit_at, cause."""
        self.came: dict[str, list[Transition]] = defaultdict(list)
        self.full_came: dict[str, list[Transition]] = defaultdict(list)

    @property
    def live(self) -> Pipeline:
        return self.publication.live

    def take(self, op: Op) -> None:
        if op == -1:
            if self.live.sweeping:
                self._came(settled(self.live, self.live.sweep(1)))
            return
        self.ops.append(op)
        self._came(done(self.live, op))
        for each in done(self.full, op):
            self.full_came[each.user_id].append(each)
        self._compare_lookups()

    def cut(self, wanted: Audiences) -> None:
        self.end()
        log = [each for each in self.ops if isinstance(each, Rec)]
        clock_ms = self.live.stream_time_ms
        self.full = self._from_the_start(wanted, clock_ms)
        self._came(time_passes(self.live, clock_ms))
        self._check_stage()
        before = {user: inside(self.live, user) for user in USERS}
        self.publication.cut(wanted, log, self.rng)
        self.is_cut, self.cut_ms = True, self.live.stream_time_ms
        self.came.clear()
        self.full_came.clear()
        for user in USERS:
            self.wanted[user] = self._difference(user, before[user], self.cut_ms)
        self._compare_lookups()

    def end(self) -> None:
        self._came(swept(self.live))
        self._came(time_passes(self.live, self.live.stream_time_ms))
        for each in time_passes(self.full, self.full.stream_time_ms):
            self.full_came[each.user_id].append(each)
        self._check_stage()

    # -- what must be ------------------------------------------------------------------------------------

    def _from_the_start(self, wanted: Audiences, clock_ms: int) -> Pipeline:
        full = new_pipeline(self.limits)
        full.define(compiled([(each, 1) for each in wanted.values()], self.created_ms))
        swept(full)
        for op in (*self.publication.way.history, *self.ops):
            done(full, op)
        time_passes(full, max(clock_ms, full.stream_time_ms))
        return full

    def _difference(self, user: str, before: dict[str, int], clock_ms: int) -> dict[str, Any]:
        plan, rules = self.publication.plan, self.full.rules.project("default")
        causes = {
            self.live.rules.project("default").by_key[key].id: cause for key, cause in plan.targets.items()
        }
        after = inside(self.full, user)
        found: dict[str, Any] = {}
        for name in before.keys() - after.keys():
            found[name] = before[name], None, causes.get(name, "definition")
        row = self.full.profiles.read(row_key("default", user))
        for name in after.keys() - before.keys():
            assert row is not None
            row.now_ms = max(row.now_ms, clock_ms - 1)
            audience = rules.by_id(name)
            assert audience is not None
            cause = causes.get(name, "backfill")
            found[name] = after[name], predict_exit(rules, audience, row, row.now_ms), cause
            if audience.key in plan.silent:
                self.seqs[user, name] += 1
                del found[name]
        return found

    def _check_stage(self) -> None:
        """What came since the cut: exactly the difference, and then what came with the full one."""
        if not self.is_cut:
            return
        is_short = self.publication.way.trims
        for user in USERS:
            first, rest = at_cut(self.came[user], self.publication.shadow is not None)
            assert {each.at_ms for each in first} <= {self.cut_ms}, (user, self.cut_ms, first)
            got = {each.audience: (each.entered_at_ms, each.exit_at_ms, each.cause) for each in first}
            assert len(got) == len(first), (user, first)
            wanted = self.wanted.pop(user, {})
            self.stats["at cuts"] += len(got)
            if is_short:
                exact = [each for each in first if each.is_enter and not each.entered_at_is_bound]
                for each in exact:
                    assert each.entered_at_ms == wanted[each.audience][0], (user, each, wanted)
                got = {name: (0, *rest) for name, (_, *rest) in got.items()}
                wanted = {name: (0, *rest) for name, (_, *rest) in wanted.items()}
            assert got == wanted, (user, got, wanted)
            later = [told(each, is_short) for each in rest]
            full = [told(each, is_short) for each in self.full_came[user]]
            assert later == full, (user, later, full)
            self.stats["after cuts"] += len(later)
            self.came[user], self.full_came[user] = [], []

    def _compare_lookups(self) -> None:
        if not self.is_cut:
            return
        at_ms = self.full.stream_time_ms
        for user in USERS:
            got, wanted = looked_up(self.live, user, at_ms), looked_up(self.full, user, at_ms)
            if self.publication.way.trims:
                assert (got or {}).keys() == (wanted or {}).keys(), (user, got, wanted)
            else:
                assert (got or {}) == (wanted or {}), (user, got, wanted)
            self.stats["lookups"] += 1

    def _came(self, transitions: Iterable[Transition]) -> None:
        for each in transitions:
            name = each.user_id, each.audience
            self.seqs[name] += 1
            assert each.seq == self.seqs[name], (each, self.seqs[name])
            self.came[each.user_id].append(each)


def told(each: Transition, is_short: bool) -> tuple[Any, ...]:
    entered_ms = 0 if is_short else each.entered_at_ms
    return each.audience, each.is_enter, each.at_ms, each.cause, each.trigger, entered_ms, each.exit_at_ms


def done(pipeline: Pipeline, op: Op) -> list[Transition]:
    if isinstance(op, int):
        return time_passes(pipeline, op)
    return settled(pipeline, pipeline.apply([op]))


def earlier(definitions: Sequence[Json], rng: Random) -> Audiences:
    """Some of the definitions, some of them with another rule, another name, or taken in without a word."""
    kept: list[Json] = []
    there: set[str] = set()
    for each in definitions:
        refers = set(json.dumps(each["rule"]).split('"audience": "')[1:])
        if rng.random() < 0.4 or not {text[0] for text in refers} <= there:
            continue
        there.add(each["id"])
        if rng.random() < 0.4:
            other = {"any": [each["rule"], {"event": "view", "within": "1h"}]}
            each = each | {"rule": rng.choice([{"not": each["rule"]}, {"event": "*"}, other])}
        if rng.random() < 0.2:
            each = each | {"name": f"Another {each['id']}"}
        if rng.random() < 0.2:
            each = each | {"backfill": {"existing": "silent"}}
        kept.append(each)
    return parsed(kept)
