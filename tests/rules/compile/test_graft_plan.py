"""Which states of conditions a cut takes from its shadow, where audiences share them."""

from __future__ import annotations

import pytest

from rules.compile.audience import PublishedAudience
from rules.compile.graft_plan import plan_graft
from rules.compile.rule_set import compile_rules
from rules.parse.definitions import parse_definitions

ALL = "{id: all, name: All, rule: {event: view}}"
WEEK = "{id: week, name: Week, rule: {event: view}}"
BEGIN_MS = 1000


@pytest.mark.parametrize(
    ("short_from_ms", "begin_ms", "is_taken"),
    [
        (None, 0, True),  # a rebuild that reads everything
        (None, BEGIN_MS, False),  # 'all' knows everything, and the log has lost its begin since
        (BEGIN_MS - 1, BEGIN_MS, False),
        (BEGIN_MS, BEGIN_MS, False),
        (BEGIN_MS + 1, BEGIN_MS, True),  # it learns more
    ],
)
def test_a_shared_state_is_not_exchanged_for_one_that_knows_less(
    short_from_ms: int | None, begin_ms: int, is_taken: bool
) -> None:
    parsed, _ = parse_definitions(f"{ALL}\n---\n{WEEK}\n", "new.yaml")
    rules = compile_rules([PublishedAudience(each.audience, 1) for each in parsed]).project("default")
    (key,) = rules.conditions
    short = {} if short_from_ms is None else {key: short_from_ms}
    plan = plan_graft(rules, rules, {"week": "backfill"}, ["week"], short, begin_ms)
    assert plan.fresh == ({key} if is_taken else set())
    both = plan_graft(rules, rules, {"week": "backfill", "all": "backfill"}, ["week", "all"], short, begin_ms)
    assert both.fresh == {key}
