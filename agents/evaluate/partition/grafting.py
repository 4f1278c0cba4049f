"""Between a cut and the end of its sweep: rows of an earlier epoch are grafted before anything else.

Whoever loads rows in a step brings them here first (``Partition.rows``); the sweep brings the others, and the
users of whom only the history knows. What a graft does to a row depends on the row, the shadow and the cut
alone, so a crash in between changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from agents.evaluate.steps import Draft
from rules.compile.graft_plan import NO_GRAFT, Graft, exact_from
from rules.compile.rule_set import RuleSet
from rules.decide.decide import fire
from rules.decide.graft import graft, seed
from rules.state.dedupe import Dedupe
from rules.state.identities import Claim, take_from_history
from rules.state.row import Row, Transition
from tables.codec import split_row_key
from tables.cut import Cut
from tables.profiles import Profiles


class ShadowRows(Protocol):
    """The rows of a shadow that stands at the cut."""

    rules: RuleSet
    stream_time_ms: int

    def read(self, key: bytes) -> Row | None:
        """A private copy of a row."""

    def keys(self, after: bytes, limit: int) -> list[bytes]:
        """Up to ``limit`` keys above ``after``, in order."""

    def close(self) -> None:
        """All rows are grafted: the shadow may go."""


class Grafting:
    """The graft of one cut in one partition."""

    def __init__(self, cut: Cut, rules: RuleSet, shadow: ShadowRows, dedupe: Dedupe) -> None:
        self.epoch = cut.epoch
        self.cut_ms = cut.stream_time_ms
        self.shadow = shadow
        self._rules = rules
        self._sources = cut.positions.keys()
        self._plans = {
            project: replace(
                each,
                exact_ms=exact_from(
                    shadow.rules.project(project), cut.begin_ms, cut.stream_time_ms, dedupe.window_ms
                ),
            )
            for project, each in grafts_of(cut).items()
        }

    def concerns(self, project: str, audience: int) -> bool:
        """Whether the graft may change who is in the audience with this key."""
        return audience in self._plans.get(project, NO_GRAFT).targets

    def bring(
        self, profiles: Profiles, draft: Draft, keys: Iterable[bytes], rows: Mapping[bytes, Row]
    ) -> None:
        """Graft those of the rows that are still to be grafted; they are part of the draft then."""
        for key in keys:
            row = rows.get(key)
            is_new = row is None
            if row is None:
                row = self._only_in_history(key)
                if row is None:
                    continue
                profiles.add(key, row)
            elif row.is_stub or row.epoch >= self.epoch:
                continue
            due_before = row.timer_ms
            claims: list[Claim] = []
            changed = self._graft(key, row, draft.transitions, claims)
            draft.claim(key)
            draft.claims += [(key, each) for each in claims]
            if changed or is_new:
                draft.change(key, due_before)
                draft.turned.add(key)  # in silence, too

    def look(self, key: bytes, row: Row | None) -> Row | None:
        """A private copy of a row as it is after its graft; of a stub, nothing."""
        if row is not None and row.is_stub:
            return None
        if row is None:
            row = self._only_in_history(key)
        if row is not None and row.epoch < self.epoch:
            self._graft(key, row, [], [])
        return row

    def _only_in_history(self, key: bytes) -> Row | None:
        found = self.shadow.read(key)
        return None if found is None else Row(found.now_ms, base_ms=found.base_ms, first=found.first)

    def _graft(self, key: bytes, row: Row, out: list[Transition], claims: list[Claim]) -> bool:
        project, user_id = split_row_key(key)
        plan = self._plans.get(project, NO_GRAFT)
        computed = self.shadow.rules.project(project)
        shadow = self.shadow.read(key)
        if shadow is None:
            shadow = seed(computed, user_id, row, plan.begin_ms, self.cut_ms)
        assert shadow is not None, f"a user came after the cut, but is of epoch {row.epoch}"
        row.epoch = self.epoch
        if (
            row.now_ms >= self.cut_ms
        ):  # a record came at the cut's very instant, which the shadow may have skipped
            fire(computed, user_id, shadow, row.now_ms + 1, [])
        has_history = not shadow.applied.keys() <= self._sources
        reads_attributes = bool(computed.by_attribute or computed.watched)  # otherwise updates are skipped
        knows_more = has_history and plan.begin_ms == 0 and reads_attributes
        rules = self._rules.project(project)
        changed = graft(rules, user_id, row, shadow, plan, self.cut_ms, out, has_history, knows_more)
        return take_from_history(row, shadow, project, user_id, claims) or changed


def grafts_of(cut: Cut) -> dict[str, Graft]:
    """What the cut grafts, by project."""
    return {
        project: Graft(
            targets,
            frozenset(cut.fresh.get(project, ())),
            frozenset(cut.silent.get(project, ())),
            cut.begin_ms,
        )
        for project, targets in cut.targets.items()
    }
