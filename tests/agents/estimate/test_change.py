"""What an edit would do, against the members under both rule sets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from agents.estimate.change import ChangeEstimate, ChangeFigures
from agents.estimate.sampling import Clock, Effort, draw
from agents.evaluate.steps import Limits
from app.estimate.change import changed_audiences
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet
from rules.parse.definitions import load_definitions
from tests.agents.estimate.logs import everything, log_end_ms, members, rules_of
from tests.agents.estimate.test_estimate import RULES, shop

EDITED = RULES | {"buyers": {"event": "buy", "within": "1d"}, "new": {"audience": "rich_buyers"}}
NAMES = [("default", each) for each in ("buyers", "rich_buyers", "new")]


def changes(log: Any, old: RuleSet, new: RuleSet, error: float, effort: Effort) -> Sequence[ChangeEstimate]:
    figures = ChangeFigures(old, new, NAMES, error)
    drawn = asyncio.run(draw(log, figures, Limits(), Clock(), effort))
    return figures.estimates(drawn.sample)


def test_an_edit_is_the_difference_of_the_members_also_of_audiences_that_ask_about_it() -> None:
    log, old, new = shop(21, 1_500), rules_of(RULES), rules_of(EDITED)
    at_ms = log_end_ms(log)
    before, after = everything(log, old, at_ms), everything(log, new, at_ms)
    found = changes(log, old, new, 0.05, Effort(exact=True))
    assert [each.audience for each in found] == ["buyers", "new", "rich_buyers"]
    for each in found:
        were, are = members(before, each.audience), members(after, each.audience)
        assert (each.before.users, each.after.users) == (len(were), len(are))
        assert (each.enters.users, each.exits.users) == (len(are - were), len(were - are))
        assert each.enters.is_exact
    assert found[0].exits.users > found[2].exits.users > 0
    assert found[1].enters.users > 0


def test_a_sample_of_an_edit_holds_the_differences() -> None:
    log = shop(22, 8_000)
    old, new = (rules_of({"buyers": each["buyers"]}) for each in (RULES, EDITED))
    figures = ChangeFigures(old, new, NAMES[:1], 0.2)
    drawn = asyncio.run(draw(log, figures, Limits(), Clock(), Effort()))
    assert not drawn.sample.is_whole
    (found,) = figures.estimates(drawn.sample)
    at_ms = log_end_ms(log)
    were, are = (members(everything(log, rules, at_ms), "buyers") for rules in (old, new))
    assert found.exits.low <= len(were - are) <= found.exits.high
    assert found.before.low <= len(were) <= found.before.high
    assert found.exits.high - found.exits.users <= 0.2 * found.before.users


def published(text: str, version: int = 1) -> list[PublishedAudience]:
    return [PublishedAudience(each, version) for each in load_definitions([("a.yaml", text)])]


def test_what_an_edit_concerns_is_what_differs_and_what_asks_about_it() -> None:
    old = """audiences:
      - {id: a, name: A, rule: {event: buy}}
      - {id: b, name: B, rule: {audience: a}}
      - {id: c, name: C, rule: {audience: b}}
      - {id: d, name: D, rule: {event: view}}"""
    assert changed_audiences(published(old), published(old, 2)) == []
    assert changed_audiences(published(old), published(old.replace("name: A", "name: Other"))) == []
    edited = published(old.replace("buy", "bought"))
    assert [name for _, name in changed_audiences(published(old), edited)] == ["a", "b", "c"]
    assert [name for _, name in changed_audiences(published(old), published(old)[:3])] == ["d"]
    assert [name for _, name in changed_audiences([], published(old)[3:])] == ["d"]
