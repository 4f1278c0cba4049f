"""Dead letters of a destination whose users were erased since."""

from __future__ import annotations

from dataclasses import dataclass

from agents.evaluate.transitions import TransitionBody, transition_body
from agents.registry.erasures import Erasures, receipt_of, receipt_record
from app.deliver.replay import Replayed, is_sent
from rules.state.row import Transition
from tables.erased import Erased, pseudonym

T = 1_700_000_000_000


@dataclass(frozen=True)
class Published:
    key: bytes
    value: bytes
    offset: int = 0


def transition(
    user: str, seq: int, at_ms: int, cause: str = "event", project: str = "default"
) -> TransitionBody:
    return transition_body(Transition(project, "vips", "Vips", 1, user, seq, at_ms, cause, None, at_ms, None))  # type: ignore[arg-type]


def test_nobody_who_was_erased_comes_back_by_a_replay() -> None:
    erasures, result = Erasures("erasures"), Replayed()
    receipt = receipt_of(pseudonym(b"ann"), Erased(T, {}, {}, ["r"], "default", (0, 0)), 0)
    assert erasures.take(Published(*receipt_record(receipt)))
    sent = [
        transition("ann", 1, T - 5),
        transition("ann", 1, T),
        transition("ann", 2, T, "delete"),
        transition("ann", 3, T + 1),
        transition("bob", 1, T - 5),
        transition("bob", 1, T - 5, project="shop"),
    ]
    found = [is_sent("default", erasures, result, each) for each in sent]
    assert found == [False, False, True, True, True, False]
    assert (result.erased, result.other_project) == (2, 1)
