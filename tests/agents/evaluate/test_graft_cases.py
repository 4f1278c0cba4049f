"""Each rule of docs/semantics.md, section 8a, and that the mistakes which its design names are noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agents.evaluate import shadow as shadows
from agents.evaluate.partition import grafting
from rules.compile.graft_plan import Graft, plan_graft
from rules.decide import graft as grafts
from rules.decide.decide import new_row
from rules.state.row import Membership, Row
from tables.timer_index import TimerIndex
from tests.agents.evaluate import grafts as publication
from tests.agents.evaluate.graft_cases import CASES

Patch = pytest.MonkeyPatch
real_graft = grafts.graft


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    CASES[name]()


def seq_copied(patch: Patch) -> None:
    def graft(rules: Any, user_id: str, live: Row, shadow: Row, *rest: Any) -> bool:
        made = real_graft(rules, user_id, live, shadow, *rest)
        for key, membership in shadow.audiences.items():
            if live.is_in(key) and membership.inside:
                live.audiences[key].seq = membership.seq
        return made

    patch.setattr(grafting, "graft", graft)


def membership_copied(patch: Patch) -> None:
    def graft(rules: Any, user_id: str, live: Row, shadow: Row, *rest: Any) -> bool:
        for key, found in shadow.audiences.items():
            since_ms = shadow.since_ms(found) - live.base_ms
            live.audiences[key] = Membership(found.seq, since_ms, found.version)
        return real_graft(rules, user_id, live, shadow, *rest)

    patch.setattr(grafting, "graft", graft)


def dependents_forgotten(patch: Patch) -> None:
    def plan(old: Any, new: Any, changed: Any, *rest: Any) -> Graft:
        made = plan_graft(old, new, changed, *rest)
        named = {key: cause for key, cause in made.targets.items() if new.by_key[key].id in changed}
        keys = {key for each in named for key, _ in new.by_key[each].leaves}
        return replace(made, targets=named, fresh=made.fresh & keys)

    patch.setattr(publication, "plan_graft", plan)


def short_history_unmarked(patch: Patch) -> None:
    patch.setattr(grafts, "_is_bound", lambda *_: False)


def timers_of_ungrafted_rows_forgotten(patch: Patch) -> None:
    stage = TimerIndex.stage

    def staged(self: TimerIndex, *rest: Any) -> None:
        floor_ms = self._floor_ms
        stage(self, *rest)
        self._floor_ms = floor_ms

    patch.setattr(TimerIndex, "stage", staged)


def timers_of_new_audiences_forgotten(patch: Patch) -> None:
    def graft(rules: Any, user_id: str, live: Row, *rest: Any) -> bool:
        timer_ms = live.timer_ms
        made = real_graft(rules, user_id, live, *rest)
        live.timer_ms = timer_ms
        return made

    patch.setattr(grafting, "graft", graft)


def since_not_followed(patch: Patch) -> None:
    def graft(rules: Any, user_id: str, live: Row, *rest: Any) -> bool:
        before = {key: each.since_ms for key, each in live.audiences.items() if each.inside}
        made = real_graft(rules, user_id, live, *rest)
        for key, since_ms in before.items():
            if live.is_in(key):
                live.audiences[key].since_ms = since_ms
        return made

    patch.setattr(grafting, "graft", graft)


def the_cuts_instant_decided_early(patch: Patch) -> None:
    def graft(rules: Any, user_id: str, live: Row, shadow: Row, plan: Graft, cut_ms: int, *rest: Any) -> bool:
        shadow.now_ms = max(shadow.now_ms, cut_ms)
        return real_graft(rules, user_id, live, shadow, plan, cut_ms, *rest)

    patch.setattr(grafting, "graft", graft)


def attributes_of_the_history_forgotten(patch: Patch) -> None:
    patch.setattr(grafts, "_take_attributes", lambda *_: False)


def live_attributes_kept_over_those_of_the_history(patch: Patch) -> None:
    patch.setattr(grafts, "_differs", lambda *_: False)


def ids_of_the_history_forgotten(patch: Patch) -> None:
    patch.setattr(grafts, "remember_too", lambda *_: False)


def seeds_forgotten(patch: Patch) -> None:
    patch.setattr(shadows.Shadow, "first_row", lambda *_: None)
    patch.setattr(grafting, "seed", lambda _, __, ___, ____, cut_ms: new_row(cut_ms))


def users_of_the_history_forgotten(patch: Patch) -> None:
    patch.setattr(grafting.Grafting, "_only_in_history", lambda *_: None)


def skipped_records_at_the_cut_forgotten(patch: Patch) -> None:
    patch.setattr(grafting, "fire", lambda *_: None)


def deletions_when_the_sweep_comes(patch: Patch) -> None:
    from rules.decide import redefine

    real = redefine.leave_deleted
    patch.setattr(
        redefine,
        "leave_deleted",
        lambda rules, user_id, row, _, *rest: real(rules, user_id, row, row.now_ms, *rest),
    )


MISTAKES: dict[Callable[[Patch], None], str] = {
    seq_copied: "seq_goes_on_over_an_edit",
    membership_copied: "a_timer_of_the_cuts_instant_fires_after_it",
    dependents_forgotten: "who_asks_about_an_edited_audience_goes_along",
    short_history_unmarked: "a_stay_that_may_have_begun_before_the_history_is_marked",
    timers_of_ungrafted_rows_forgotten: "a_timer_of_a_new_audience_fires_in_rows_that_are_grafted_late",
    timers_of_new_audiences_forgotten: "a_timer_of_the_cuts_instant_fires_after_it",
    since_not_followed: "since_follows_the_new_version",
    the_cuts_instant_decided_early: "a_timer_of_the_cuts_instant_fires_after_it",
    attributes_of_the_history_forgotten: "what_the_history_knows_of_attributes_counts",
    live_attributes_kept_over_those_of_the_history: "what_the_history_knows_of_attributes_counts",
    ids_of_the_history_forgotten: "an_id_of_the_history_is_known_again",
    seeds_forgotten: "users_whose_records_are_skipped_are_in_since_they_came",
    users_of_the_history_forgotten: "users_of_the_history_alone_are_there",
    skipped_records_at_the_cut_forgotten: "an_instant_at_the_cut_that_the_shadow_skipped_is_decided",
    deletions_when_the_sweep_comes: "what_is_deleted_goes_at_the_cut",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_noticed(mistake: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        CASES[MISTAKES[mistake]]()
