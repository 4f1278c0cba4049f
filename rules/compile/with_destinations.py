"""The rules of audiences, and beside them the destinations that get events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from rules.compile.destination import EventDestination, compile_destination
from rules.compile.rule_set import RuleSet

RULE_SETS: Final = 8
"""So many are kept: partitions are at the same versions but for some moments."""


class EventDestinations:
    """All destinations that get events. Without any, rules stay as they are."""

    def __init__(self, wanted: Iterable[EventDestination] = ()) -> None:
        self.wanted = tuple(sorted(wanted, key=lambda each: (each.project, each.name)))
        self._made: list[tuple[RuleSet, RuleSet]] = []

    def beside(self, rules: RuleSet) -> RuleSet:
        """The same for the same rules, so that engines need not compile them again."""
        if not self.wanted:
            return rules
        for known, made in self._made:
            if known is rules:
                return made
        projects = dict(rules.projects)
        for name in dict.fromkeys(each.project for each in self.wanted):
            project = rules.project(name)
            audiences = {each.id: each for each in project.audiences}
            ours = [compile_destination(each, audiences) for each in self.wanted if each.project == name]
            projects[name] = replace(project, destinations=tuple(ours))
        made = replace(rules, projects=projects)
        self._made = [*self._made, (rules, made)][-RULE_SETS:]
        return made


NO_EVENT_DESTINATIONS: Final = EventDestinations()
