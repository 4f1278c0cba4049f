"""Candidates of an audience: the users whom its rule could concern at all, the range of an estimate.

A user is one when something is kept of the user that the rule, or the rule of an audience that it asks about,
looks at: an event that a condition takes, or an attribute. Where the rule holds for a user of whom nothing is
known, everybody is one.
"""

from __future__ import annotations

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.conditions.attributes import attribute_roots
from rules.model import language
from rules.state.row import Row


class Candidates:
    """Judges rows for one audience."""

    def __init__(self, rules: ProjectRules, audience: CompiledAudience) -> None:
        group = [*(rules.audiences[index] for index in audience.needs), audience]
        self.are_all = _holds_without_facts(group)
        self._conditions = {key for each in group for key, _ in each.leaves if key is not None}
        self._attributes = {
            root
            for each in group
            for part in language.conditions(each.source.rule)
            if isinstance(part, language.AttributeCondition)
            for root in attribute_roots(part.test)
        }

    def has(self, row: Row) -> bool:
        return (
            self.are_all
            or not self._conditions.isdisjoint(row.conditions)
            or not self._attributes.isdisjoint(row.attributes)
        )


def _holds_without_facts(group: list[CompiledAudience]) -> bool:
    """Whether the last one's rule does, with the memberships that follow from those before it."""
    unknown = Row(now_ms=0)
    holds = False
    for each in group:
        holds = each.rule.truth(unknown, 0)
        if holds:
            unknown.turn(each.key, each.version, 0)
    return holds
