"""Users who were erased, in a log that an estimate reads."""

from __future__ import annotations

from dataclasses import replace

from agents.estimate.log import without_erased
from agents.registry.erased_records import ErasedRecords
from tables.erased import pseudonym
from tests.agents.estimate.logs import START_MS, estimated, log_of, rules_of


def test_what_was_before_the_erasure_counts_for_nobody() -> None:
    rules = rules_of({"viewers": {"event": "view"}})
    views = [
        (START_MS + at, {"user_id": user, "event": "view"}) for at, user in enumerate(["ann", "bob", "cy"])
    ]
    again = (START_MS + 9, {"user_id": "cy", "event": "view"})
    log = log_of([*views, again])
    erased = ErasedRecords({pseudonym(each): START_MS + 5 for each in (b"ann", b"cy")})

    def size(is_history: bool) -> int:
        left = replace(log, sources=[without_erased(each, erased, is_history) for each in log.sources])
        (made,) = estimated(left, rules, "viewers")
        return made.size.users

    (made,) = estimated(log, rules, "viewers")
    assert made.size.users == 3
    assert size(is_history=False) == 2, "bob, and cy who came back"
    assert size(is_history=True) == 1, "of history nothing counts"
