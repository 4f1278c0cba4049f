"""Who would enter and leave, in words; and what would be published once a plan is carried out."""

from __future__ import annotations

import pytest

from agents.estimate.change import ChangeEstimate
from agents.estimate.interval import Sized
from app.commands.authoring.audiences.planned.effects import after, effect_document, effect_text
from app.commands.authoring.audiences.planned.plan import make_plan
from tests.app.commands.audiences.test_plan import KEEN, VIP, audiences, published


def exactly(users: int) -> Sized:
    return Sized(users, users, users)


@pytest.mark.parametrize(
    ("enters", "exits", "told"),
    [
        (exactly(0), exactly(0), "nobody enters or leaves; 10 members before, 12 after"),
        (exactly(1), exactly(1), "1 enters, 1 leaves; 10 members before, 12 after"),
        (exactly(1200), exactly(0), "1,200 enter, nobody leaves; 10 members before, 12 after"),
        (
            Sized(120, 100, 140),
            Sized(0, 0, 5),
            "about 120 enter (100 to 140), about 0 leave (0 to 5); 10 members before, 12 after",
        ),
    ],
)
def test_effects_read_as_sentences(enters: Sized, exits: Sized, told: str) -> None:
    effect = ChangeEstimate("default", "keen", exactly(10), exactly(12), enters, exits)
    assert effect_text(effect) == told
    assert effect_document(effect)["enters"]["users"] == enters.users


def test_after_a_plan_the_changed_are_replaced_the_new_added_and_the_deleted_gone() -> None:
    before = published(KEEN, VIP)
    new = "{id: new, name: New, rule: {event: a}}"
    plan = make_plan(before, audiences(KEEN.replace("gte: 2", "gte: 3"), new), prune=True)
    found = {each.audience.id: each for each in after(before, plan)}
    assert found.keys() == {"keen", "new"}
    assert (found["keen"].version, found["new"].version) == (4, 1)
    assert found["keen"].audience != before[0].audience
