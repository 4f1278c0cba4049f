"""Which version decides, from when on it counts, and what a pending version would say."""

from __future__ import annotations

import io
from typing import Any

import msgspec
from rich.console import Console

from agents.backfill.upkeep.pending_view import PendingView, ShadowView
from app.commands.explain import tree
from app.worker.answers import Explanation
from app.worker.http_explain import explanation
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.decide import apply_event, new_row
from rules.state.row import Row
from tests.driver.driver import ruleset

T = 1_704_067_200_000
OLD = "{id: fans, name: Fans, rule: {event: view, count: {gte: 1}, within: 7d}}"
NEW = "{id: fans, name: Fans, rule: {event: view, count: {gte: 2}, within: 7d}}"


def compiled(definition: str) -> tuple[ProjectRules, CompiledAudience]:
    rules = ruleset(f"audiences: [{definition}]").project("default")
    audience = rules.by_id("fans")
    assert audience is not None
    return rules, audience


def row_of(rules: ProjectRules) -> Row:
    row = new_row(T)
    apply_event(rules, "ann", row, "view", None, T, {}, T, False, [])
    return row


def told(answer: Explanation) -> str:
    console = Console(file=io.StringIO(), width=1_000, highlight=False)
    console.print(tree(msgspec.to_builtins(answer)))
    file: Any = console.file
    return str(file.getvalue())


def pending(row_known: bool, at_ms: int = T, begin_ms: int = 0) -> PendingView:
    rules, audience = compiled(NEW)
    view = ShadowView(rules, audience, row_of(rules), at_ms, begin_ms)
    return PendingView(2, "replaying", view if row_known else None)


def test_without_a_pending_version_nothing_is_said_of_one() -> None:
    rules, audience = compiled(OLD)
    answer = explanation(rules, audience, "ann", row_of(rules), T, {})
    body = msgspec.to_builtins(answer)
    assert (body["audience_version"], body["pending_version"], body["history_from"]) == (1, None, None)
    assert body["pending"] is None
    assert "decide yet" not in told(answer)


def test_a_pending_version_says_what_it_would_answer() -> None:
    rules, audience = compiled(OLD)
    answer = explanation(rules, audience, "ann", row_of(rules), T, {}, pending(row_known=True))
    body = msgspec.to_builtins(answer)
    assert (body["member"], body["audience_version"], body["pending_version"]) == (True, 1, 2)
    found = body["pending"]
    assert (found["state"], found["member"]) == ("replaying", False)
    assert found["at"] == "2024-01-01T00:00:00.000Z"
    assert (found["rule"]["value"], found["rule"]["facts"]["number"]) == (False, 1)
    assert body["rule"]["value"] is True
    text = told(answer)
    assert "Version 2 doesn't decide yet: it is replaying, computed up to 2024-01-01T00:00:00.000Z." in text
    assert "By it the user would not be in:" in text
    assert text.count("1 counted") == 2


def test_what_is_pending_says_too_where_its_history_begins() -> None:
    rules, audience = compiled(OLD)
    answer = explanation(rules, audience, "ann", row_of(rules), T, {}, pending(True, begin_ms=T - 9))
    body = msgspec.to_builtins(answer)
    assert body["history_from"] is None
    assert body["pending"]["rule"]["counts_from"] == "2023-12-31T23:59:59.991Z"


def test_a_user_whom_it_has_not_seen_yet_is_unknown_to_it() -> None:
    rules, audience = compiled(OLD)
    answer = explanation(rules, audience, "ann", row_of(rules), T, {}, pending(row_known=False))
    body = msgspec.to_builtins(answer)
    assert (body["pending_version"], body["pending"]) == (2, {"state": "replaying"})
    assert "Version 2 doesn't decide yet: it is replaying." in told(answer)


def test_a_short_history_is_told_of_the_condition_and_of_the_audience() -> None:
    rules, audience = compiled(OLD)
    ((key, _),) = audience.leaves
    assert key is not None
    answer = explanation(rules, audience, "ann", row_of(rules), T, {key: T - 5})
    body = msgspec.to_builtins(answer)
    assert body["history_from"] == body["rule"]["counts_from"] == "2023-12-31T23:59:59.995Z"
    assert "because its history begins there" in told(answer)
