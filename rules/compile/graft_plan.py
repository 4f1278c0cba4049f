"""From the rules in force to those that come: what a shadow must compute, and what of it is grafted.

``docs/semantics.md``, section 8a. All of it is decided before the replay begins, and kept in the cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from rules.compile.project_rules import ProjectRules
from rules.conditions.nested import SinceEntryCondition
from rules.model.lookback import lookback_ms
from rules.state.row import Cause


@dataclass(frozen=True, slots=True)
class Graft:
    """What of one project's shadow goes into the live rows."""

    targets: Mapping[int, Cause] = field(default_factory=dict)
    """Keys of the audiences whose memberships are decided by the shadow, and the cause of the difference."""
    fresh: frozenset[int] = frozenset()
    """Keys of the conditions whose states are taken from the shadow."""
    silent: frozenset[int] = frozenset()
    """Keys of audiences that take members in without a transition."""
    begin_ms: int = 0
    """The shadow's history begins here; 0: with the first record that ever was."""
    exact_ms: Mapping[int, int] = field(default_factory=dict)
    """Of a history that begins later: per key of an audience that the shadow computes, from when on (ms) its
    value is the one that the whole history would give."""


NO_GRAFT: Final = Graft()


def plan_graft(
    old: ProjectRules,
    new: ProjectRules,
    changed: Mapping[str, Cause],
    recompute: Iterable[str] = (),
    short: Mapping[int, int] = MappingProxyType({}),
    begin_ms: int = 0,
) -> Graft:
    """What changes from ``old`` to ``new`` rules of a project.

    ``changed``: ids of the audiences that are new or have another computation, with their causes; audiences
    that ask about them, directly or not, go along with the cause ``definition``. ``recompute``: ids whose
    conditions are all computed once more. ``short``: keys of old conditions that rest on too little history,
    and from when on they know it. A state on which an audience rests that isn't computed here is never
    exchanged for one that knows less: its members would leave, and nobody would be asked.
    """
    causes = {each.index: changed[each.id] for each in new.audiences if each.id in changed}
    waiting = list(causes)
    while waiting:
        for dependent in new.audiences[waiting.pop()].dependents:
            if dependent not in causes:
                causes[dependent] = "definition"
                waiting.append(dependent)
    targets = {new.audiences[index].key: cause for index, cause in sorted(causes.items())}
    again = set(recompute)
    unusable = set(short)
    for index in causes:
        audience = new.audiences[index]
        if audience.id in again:
            unusable.update(key for key, _ in audience.leaves if key is not None)
    kept = {
        key
        for index, audience in enumerate(new.audiences)
        if begin_ms and index not in causes
        for key, _ in audience.leaves
        if key is not None and key in old.conditions and short.get(key, 0) <= begin_ms
    }
    fresh = {
        key
        for index in causes
        for key, _ in new.audiences[index].leaves
        if key is not None
        and key not in kept
        and (key not in old.conditions or key in unusable or _follows(new, key, targets))
    }
    silent = frozenset(
        new.audiences[index].key
        for index, cause in causes.items()
        if cause == "backfill" and new.audiences[index].source.backfill.existing == "silent"
    )
    return Graft(targets, frozenset(fresh), silent, begin_ms)


def exact_from(rules: ProjectRules, begin_ms: int, cut_ms: int, dedupe_ms: int) -> dict[int, int]:
    """``Graft.exact_ms`` of the audiences of a shadow's rules: where the lookback behind them is whole."""
    if not begin_ms:
        return {}
    by_id = {each.id: each.source for each in rules.audiences}
    found: dict[int, int] = {}
    for audience in rules.audiences:
        length_ms = lookback_ms(audience.source, by_id, dedupe_ms, cut_ms)
        exact_ms = cut_ms if length_ms is None else begin_ms + max(0, length_ms - 1)
        found[audience.key] = min(exact_ms, cut_ms)
    return found


def _follows(rules: ProjectRules, key: int, targets: Mapping[int, Cause]) -> bool:
    """Whether a condition's state rests on the membership of an audience that changes."""
    condition = rules.conditions[key]
    return isinstance(condition, SinceEntryCondition) and condition.audience in targets
