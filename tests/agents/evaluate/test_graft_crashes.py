"""A crash at any write around a cut changes nothing: no transition, and none of their ids and bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from rules.compile.audience import PublishedAudience
from rules.compile.graft_plan import plan_graft
from rules.compile.rule_set import RuleSet, compile_rules
from rules.state.row import Row
from tables.codec import source_key
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.grafts import noted, parsed
from tests.driver.driver import Crash, Driver
from tests.driver.partition import EVENTS, Rec

Json = Any
START, HOUR = 1_700_000_000_000, 3_600_000
OLD = [{"id": "a", "name": "a", "rule": {"event": "buy", "within": "1d"}}]
NEW = [
    {"id": "a", "name": "a", "rule": {"event": "buy", "count": {"gte": 2}, "within": "2d"}},
    {"id": "b", "name": "b", "rule": {"audience": "a", "for": "20h"}},
    {"id": "n", "name": "n", "rule": {"not": {"event": "buy"}}, "backfill": {"existing": "silent"}},
    {"id": "v", "name": "v", "rule": {"event": "view", "within": "1d"}},
]
BEFORE = [(0, "ann", "buy"), (8, "bob", "buy"), (9, "ann", "buy"), (20, "cy", "view"), (30, "bob", "view")]
AFTER = [(31, "dee", "buy"), (33, "bob", "buy"), (33, "bob", "buy"), (50, "cy", "buy"), (90, "ann", "view")]


def rules_of(definitions: Sequence[Json], version: int) -> RuleSet:
    return compile_rules([PublishedAudience(each, version) for each in parsed(definitions).values()])


@dataclass
class Run:
    """Publishes ``NEW`` in place of ``OLD`` between ``BEFORE`` and ``AFTER``; goes on after each crash."""

    driver: Driver
    loses: bool = False
    """A crash takes the stores along, the shadow's, too, and the changelog is compacted."""
    log: list[Rec] = field(default_factory=list)
    kept: MemoryStore | None = None
    """The shadow's store."""
    crashes: int = 0

    def __post_init__(self) -> None:
        self.driver.adopt, self.driver.steady = self.adopt, False
        self.driver.last_seq["default", "n", "cy"] = 1  # taken in without a transition
        self.adopt(self.driver.pipeline)

    def adopt(self, pipeline: Pipeline) -> None:
        cut = pipeline.last_cut
        if cut is None:
            pipeline.define(rules_of(OLD, 1))
            return
        new = rules_of(NEW, 2)
        is_grafting = pipeline.swept != new.fingerprint
        pipeline.cut_at(cut, new, self._shadow(pipeline) if is_grafting else None)

    def _shadow(self, pipeline: Pipeline) -> Shadow:
        cut = pipeline.last_cut
        positions = pipeline.positions.offsets if cut is None else cut.positions
        last = positions[source_key(EVENTS, 0)]
        is_new = self.kept is None
        self.kept = self.kept or MemoryStore()
        shadow = Shadow(pipeline, Profiles(self.kept, 3), rules_of(NEW, 2))
        if is_new:
            shadow.take([each for each in self.log if each.offset <= last])
        shadow.reach(pipeline.stream_time_ms if cut is None else cut.stream_time_ms)
        shadow.flush()
        return shadow

    def all(self) -> None:
        for hours, user, event in BEFORE:
            self._send(hours, user, event)
        self._on(self.driver.run)
        self._on(self._cut)
        for hours, user, event in AFTER:
            self._send(hours, user, event)
            self._on(self._sweep)
            self._on(self.driver.run)
        while self.driver.pipeline.sweeping:
            self._on(self._sweep)
        self._on(lambda: self.driver.advance(START + 100 * HOUR))

    def _send(self, hours: int, user: str, event: str) -> None:
        body = {"user_id": user, "event": event}
        self.log.append(self.driver.send(body, START + hours * HOUR, key=user.encode()))

    def _cut(self) -> None:
        live = self.driver.pipeline
        if live.last_cut is not None:
            return
        while live.sweeping:
            self._settle(live.sweep(100))
        self.driver.advance(live.stream_time_ms)
        new = rules_of(NEW, 2)
        plan = plan_graft(
            live.rules.project("default"),
            new.project("default"),
            {"a": "definition", "b": "backfill", "n": "backfill", "v": "backfill"},
        )
        cut = noted(live, plan, {f"default/{each}": 2 for each in "abnv"})
        self._settle(live.cut(cut, new, self._shadow(live)))

    def _sweep(self) -> None:
        if self.driver.pipeline.sweeping:
            self._settle(self.driver.pipeline.sweep(1))

    def _settle(self, step: Any) -> None:
        self.driver.parts[0].computed.append((step, []))
        self.driver.flush()

    def _on(self, act: Any) -> None:
        while True:
            try:
                return act()
            except Crash:
                self.crashes += 1
                if self.loses:
                    self.kept = None
                self.driver.restart(lose_store=self.loses, compact=self.loses, chunk=2)
                self._on(self.driver.run)


def outcome(driver: Driver) -> tuple[dict[str, bytes], dict[bytes, Any]]:
    """Every transition by its id, and who is in what since when."""
    rows = {}
    for user in ("ann", "bob", "cy", "dee"):
        row = driver.pipeline.look("default", user, START + 100 * HOUR)
        rows[user.encode()] = memberships(row)
    return {each: _told(body) for each, body in driver.sent.items()}, rows


def _told(body: bytes) -> bytes:
    return json.dumps(json.loads(body), sort_keys=True).encode()


def memberships(row: Row | None) -> Any:
    return row and {key: (each.seq, row.since_ms(each)) for key, each in row.audiences.items()}


def outcome_of(writes: int | None, loses: bool, directory: Path | None = None) -> tuple[Any, int]:
    driver = Driver(json.dumps({"audiences": OLD}), directory=directory, cache_rows=2, behind_rows=3)
    run = Run(driver, loses)
    if writes is not None:
        driver.crash_after(writes)
    run.all()
    return outcome(driver), run.crashes


@pytest.mark.parametrize("loses", [False, True], ids=["stores kept", "stores lost"])
def test_a_crash_before_any_write_changes_nothing(loses: bool) -> None:
    wanted, _ = outcome_of(None, loses)
    assert {json.loads(each)["cause"] for each in wanted[0].values()} == {
        "event",
        "time",
        "backfill",
        "definition",
    }
    writes, crashes = 0, 1
    while crashes:
        got, crashes = outcome_of(writes, loses)
        assert got == wanted, f"a crash before write {writes}"
        writes += 1
    assert writes > 40


@pytest.mark.parametrize("writes", [12, 16, 20, 25, 30])
def test_a_crash_changes_nothing_over_rocksdb(tmp_path: Path, writes: int) -> None:
    wanted, _ = outcome_of(None, False)
    for loses in (False, True):
        got, crashes = outcome_of(writes, loses, tmp_path / str(loses))
        assert crashes
        assert got == wanted
