"""Section 8a of docs/semantics.md, sentence by sentence, in one partition: what comes out when definitions
change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agents.evaluate.shadow import Shadow
from agents.evaluate.steps import Limits
from rules.compile.audience import PublishedAudience
from rules.compile.graft_plan import plan_graft
from rules.compile.rule_set import compile_rules
from rules.state.row import Cause, Transition
from rules.time.durations import parse_duration
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.grafts import (
    members,
    new_pipeline,
    noted,
    parsed,
    settled,
    swept,
    time_passes,
)
from tests.driver.partition import Rec

T = 1_700_000_000_000
HOUR = 3_600_000
Json = Any
Line = tuple[str, str, str, int, int]
"""(user, audience, what, seq, ms after T)."""


class Partition:
    """One that was running before its definitions came."""

    def __init__(self) -> None:
        self.live = new_pipeline(Limits())
        self.log: list[Rec] = []
        self.came: list[Transition] = []
        self.published: dict[str, PublishedAudience] = {}

    def event(self, user: str, name: str, at: str = "", **properties: Json) -> list[Line]:
        at_ms = T + (parse_duration(at) if at else 0)
        body = {"user_id": user, "event": name, "properties": properties}
        self.log.append(Rec("events", 0, len(self.log), at_ms, user.encode(), json.dumps(body).encode()))
        return self._told(settled(self.live, self.live.apply(self.log[-1:])))

    def until(self, at: str) -> list[Line]:
        return self._told(time_passes(self.live, T + parse_duration(at)))

    def cut(self, *definitions: Json, from_ms: int = 0) -> list[Line]:
        """Let these definitions take over, and no others; ``from_ms``: where the history begins."""
        live = self.live
        wanted = parsed([{"name": each["id"], **each} for each in definitions]) if definitions else {}
        came = swept(live)
        changed: dict[str, Cause] = {}
        for name, audience in wanted.items():
            before = self.published.get(name)
            if before is not None and not before.deleted and before.audience == audience:
                continue
            changed[name] = "backfill" if before is None or before.deleted else "definition"
            version = 1 if before is None else before.version + 1
            self.published[name] = PublishedAudience(audience, version, created_ms=T - 10**9)
        for name in self.published.keys() - wanted.keys():
            self.published[name] = replace(self.published[name], deleted=True)
        rules = compile_rules(list(self.published.values()))
        plan = plan_graft(live.rules.project("default"), rules.project("default"), changed, begin_ms=from_ms)
        shadow = Shadow(live, Profiles(MemoryStore(), 3), rules, from_ms)
        if history := [each for each in self.log if each.timestamp >= from_ms]:
            shadow.take(history)
        came += time_passes(live, live.stream_time_ms)
        shadow.reach(live.stream_time_ms)
        shadow.flush()
        versions = {f"default/{name}": each.version for name, each in self.published.items()}
        return self._told([*came, *settled(live, live.cut(noted(live, plan, versions), rules, shadow))])

    def sweep(self) -> list[Line]:
        return self._told(swept(self.live))

    def publish(self, *definitions: Json) -> list[Line]:
        return self.cut(*definitions) + self.sweep()

    def members(self, user: str) -> dict[str, int]:
        """By audience, since when (ms after T)."""
        found = members(self.live, user, self.live.stream_time_ms) or {}
        return {name: since_ms - T for name, (since_ms, _) in found.items()}

    def _told(self, transitions: list[Transition]) -> list[Line]:
        self.came += transitions
        return [
            (each.user_id, each.audience, f"{'enter' if each.is_enter else 'exit'} {each.cause}",
             each.seq, each.at_ms - T)
            for each in transitions
        ]  # fmt: skip


def counted(least: int) -> Json:
    return {"id": "fans", "rule": {"event": "view", "count": {"gte": least}}}


RECENT = {"id": "recent", "rule": {"event": "buy", "within": "1h"}}
QUIET = {"id": "quiet", "rule": {"not": {"event": "buy", "within": "1h"}}}


def test_a_shadow_knows_what_it_would_answer_and_says_nothing() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    it.event("cid", "view", "2h")
    rules = compile_rules([PublishedAudience(parsed([{"name": "Q", **QUIET}])["quiet"], 1)])
    shadow = Shadow(it.live, Profiles(MemoryStore(), 3), rules, T + HOUR // 12)
    shadow.take(it.log[1:2])
    key = rules.project("default").audiences[0].key
    ann, bob, cid = (shadow.known("default", user) for user in ("ann", "bob", "cid"))
    assert ann is not None  # not read of, because she came before: what the live row tells
    assert bob is not None
    assert (ann.is_in(key), bob.is_in(key), cid) == (True, True, None)
    shadow.take(it.log[2:])
    found = shadow.known("default", "cid")
    assert found is not None
    assert found.is_in(key)
    assert it.members("ann") == {}
    assert it.came == []


def test_a_new_audience_finds_who_is_in_and_since_when() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    assert it.publish(RECENT) == [("ann", "recent", "enter backfill", 1, HOUR // 6)]
    (enter,) = it.came
    assert (enter.entered_at_ms, enter.exit_at_ms, enter.entered_at_is_bound) == (T, T + HOUR, False)
    assert it.members("ann") == {"recent": 0}


def test_who_bought_a_moment_ago_is_not_among_those_who_did_not() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    assert it.publish(QUIET) == [("bob", "quiet", "enter backfill", 1, HOUR // 6)]
    assert it.until("2h") == [("ann", "quiet", "enter time", 1, HOUR)]


def test_an_edit_gives_the_difference_and_its_undoing_takes_it_back() -> None:
    it = Partition()
    for user, times in {"two": 2, "three": 3, "four": 4}.items():
        for _ in range(times):
            it.event(user, "view")
    assert [each[0] for each in it.publish(counted(3))] == ["four", "three"]
    it.event("two", "else", "10m")
    assert it.publish(counted(4)) == [("three", "fans", "exit definition", 2, HOUR // 6)]
    assert it.publish(counted(3)) == [("three", "fans", "enter definition", 3, HOUR // 6)]
    assert it.came[-1].entered_at_ms == T
    assert it.publish(counted(3)) == []


def test_who_is_in_by_both_versions_gets_no_transition_and_since_follows_the_new_one() -> None:
    it = Partition()
    it.event("ann", "view")
    it.event("ann", "view", "10m")
    it.publish(counted(1))
    assert it.members("ann") == {"fans": 0}
    assert it.publish(counted(2)) == []
    assert it.members("ann") == {"fans": HOUR // 6}
    assert it.publish() == [("ann", "fans", "exit definition", 2, HOUR // 6)]
    assert it.came[-1].entered_at_ms == T + HOUR // 6


def test_audiences_that_ask_about_it_go_along() -> None:
    it = Partition()
    it.event("ann", "view")
    it.event("bob", "view")
    it.event("bob", "view")
    asking = {"id": "asking", "rule": {"not": {"audience": "fans"}}}
    assert it.publish(counted(1), asking)[-1][1] == "fans"
    told = it.publish(counted(2), asking)
    assert told == [
        ("ann", "asking", "enter definition", 1, 0),
        ("ann", "fans", "exit definition", 2, 0),
    ]


def test_timers_due_at_the_cut_or_later_fire_after_it() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "1h")
    assert it.cut(RECENT) == []
    assert it.until("2h") == []  # nobody looked at her row yet
    told = it.sweep() + it.until("2h")
    assert told == [
        ("ann", "recent", "enter backfill", 1, HOUR),
        ("ann", "recent", "exit time", 2, HOUR),
    ]
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "59m")
    it.cut(RECENT)
    told = it.sweep() + it.until("2h")
    assert told == [
        ("ann", "recent", "enter backfill", 1, 59 * HOUR // 60),
        ("ann", "recent", "exit time", 2, HOUR),
    ]


def test_a_partition_that_is_cut_answers_by_the_new_version_at_once() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    it.cut(RECENT)
    assert it.live.sweeping
    assert it.members("ann") == {"recent": 0}
    assert it.members("bob") == {}
    assert it.sweep() == [("ann", "recent", "enter backfill", 1, HOUR // 6)]


def test_a_record_after_the_cut_finds_the_row_grafted() -> None:
    it = Partition()
    for _ in range(3):
        it.event("ann", "view")
    it.cut(counted(4))
    assert it.event("ann", "view", "5m") == [("ann", "fans", "enter event", 1, HOUR // 12)]
    assert it.sweep() == []


def test_a_deletion_makes_everybody_leave_and_seq_goes_on() -> None:
    it = Partition()
    it.event("ann", "view")
    it.publish(counted(1))
    assert it.publish() == [("ann", "fans", "exit definition", 2, 0)]
    assert it.publish(counted(1)) == [("ann", "fans", "enter backfill", 3, 0)]


def test_silent_members_have_a_seq_and_no_transition() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    assert it.publish({**RECENT, "backfill": {"existing": "silent"}}) == []
    assert it.members("ann") == {"recent": 0}
    assert it.until("2h") == [("ann", "recent", "exit time", 2, HOUR)]
    assert it.came[-1].entered_at_ms == T


def test_where_the_history_begins_later_the_begin_of_a_stay_is_bound() -> None:
    it = Partition()
    it.event("ann", "buy")
    it.event("bob", "view", "10m")
    it.event("bob", "view", "20m")
    assert it.cut(QUIET, from_ms=T + HOUR // 6) + it.sweep() == [
        ("ann", "quiet", "enter backfill", 1, HOUR // 3),
        ("bob", "quiet", "enter backfill", 1, HOUR // 3),
    ]
    ann, bob = it.came
    assert (ann.entered_at_ms, ann.entered_at_is_bound) == (T + HOUR // 6, True)
    assert bob.entered_at_ms == T + HOUR // 6
