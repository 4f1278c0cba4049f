"""Rows of a program that kept each condition's event times by themselves (version 1 of the encoding)."""

from __future__ import annotations

from typing import Any

from rules.aggregates.counts import CountWithin
from rules.aggregates.distincts import DistinctWithin
from rules.aggregates.sums import SumWithin
from rules.compile.project_rules import ProjectRules
from rules.conditions.batch import BatchCondition, HeldState
from rules.conditions.build import small_kind
from rules.model import language
from rules.state.condition import AnyCondition
from rules.state.event_times import references
from rules.state.row import Row, State
from rules.time.calendar import calendar_of

OLD = -1
"""``Row.used`` of a row whose states are of that kind."""


def upgrade(rules: ProjectRules, row: Row) -> None:
    """Keep the states as they are kept now. Those of conditions that no audience has any more go."""
    old, row.conditions, row.used = row.conditions, {}, 0
    for key, state in old.items():
        condition = rules.conditions.get(key)
        if condition is not None:
            row.conditions[key] = _upgraded(condition, row, state)


def _upgraded(condition: AnyCondition, row: Row, state: Any) -> Any:
    """The state as the condition keeps it now."""
    match condition:
        case CountWithin():
            return references(row, state)
        case SumWithin() | DistinctWithin():
            return [references(row, state[0]), *state[1:]]
        case BatchCondition(source=language.EventCondition(window=language.Within()) as source):
            small = small_kind(source)
            if small is None:
                return state
            kind = small(condition.key, source, condition.max_samples, calendar_of("UTC"))
            held = HeldState(*state)
            after = None if held.with_instant is None else _plain(kind, held.with_instant)
            return HeldState(_plain(kind, held.decided), held.instant_ms, after).stored()
        case _:
            return state


def _plain(kind: AnyCondition, state: State) -> State:
    if not state:
        return []
    scratch = Row(now_ms=0)
    return kind.plain(scratch, _upgraded(kind, scratch, state))
