"""Erasing a user: the memberships end with the cause ``delete``, and of the row only a stub stays.

The stub keeps ``seq`` of each audience, so that no transition's id comes again with another body, and what is
applied of each source, so that no record from before the erasure counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.compile.project_rules import ProjectRules
from rules.decide.decide import fire, transition_of
from rules.decide.redefine import leave_deleted
from rules.state.row import STUB, Membership, Row, Transition, Trigger


def erase(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    now_ms: int,
    trigger: Trigger,
    applied: Mapping[int, int],
    out: list[Transition],
) -> None:
    """Erase a user at ``now_ms``. ``applied``: per source the last offset that doesn't count from here on.

    Timers before that are decided first. One of that very instant isn't: the step gives the net change.
    """
    fire(rules, user_id, row, now_ms, out)
    before = len(out)
    out += [
        transition_of(rules, user_id, row, audience, now_ms, "delete", trigger)
        for audience in rules.audiences
        if row.is_in(audience.key)
    ]
    leave_deleted(rules, user_id, row, now_ms, "delete", out)
    out[before:] = sorted(out[before:], key=lambda each: each.audience)
    memberships: dict[int, Membership] = {}
    for key, kept in row.audiences.items():
        if kept.inside:  # of an audience that nobody has any more
            kept.turn(0)
        memberships[key] = Membership(kept.seq, 0, kept.version)
    row.become(stub(now_ms, memberships, applied))


def stub(at_ms: int, memberships: Mapping[int, Membership], applied: Mapping[int, int]) -> Row:
    """What stays of a user who was erased at an instant."""
    return Row(at_ms, applied=dict(applied), audiences=dict(memberships), base_ms=at_ms, first=STUB)
