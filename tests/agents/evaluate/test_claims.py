"""Claims of identities: what records make of them, and that no crash loses one."""

from __future__ import annotations

from typing import Any

import pytest

from rules.state.identities import known_identities
from tables.claims import decode_key, decode_standing
from tests.driver.driver import Crash, Driver

T = 1_700_000_000_000
NOBODY = "{audiences: [{id: viewers, name: V, rule: {event: view}}]}"
Told = tuple[str, str, str, int, bool]
"""Namespace, value, user, ms after ``T``, whether it is taken back."""


def told(driver: Driver) -> list[Told]:
    """The claims that came out, in order; of each partition of the topic."""
    found: list[Told] = []
    for _, key, value in driver.claims:
        assert value is not None
        ((_, namespace, named), user_id), claim = decode_key(key), decode_standing(value)
        found.append((namespace, named, user_id, claim.time_ms - T, claim.unset))
    return found


def test_a_user_claims_an_identity_with_the_first_record_that_gives_it() -> None:
    driver = Driver(NOBODY)
    driver.track("ann", "view", T, identities={"email": "a@b.c", "phone": 7})
    driver.track("ann", "view", T + 1, identities={"email": "a@b.c"})
    driver.profile("ann", T + 2, set={"x": 1}, identities={"phone": "7"})
    assert told(driver) == [("email", "a@b.c", "ann", 0, False), ("phone", "7", "ann", 0, False)]


def test_another_value_is_another_claim_and_leaves_the_first_one_standing() -> None:
    driver = Driver(NOBODY)
    for at, device in enumerate(["phone", "laptop", "phone"]):
        driver.track("ann", "view", T + at, identities={"device": device})
    assert [each[1:4] for each in told(driver)] == [
        ("phone", "ann", 0),
        ("laptop", "ann", 1),
        ("phone", "ann", 2),
    ]


def test_null_takes_back_what_the_row_has_and_nothing_where_it_has_none() -> None:
    driver = Driver(NOBODY)
    driver.profile("ann", T, identities={"email": None})
    driver.profile("ann", T + 1, identities={"email": "a@b.c"})
    driver.profile("ann", T + 2, identities={"email": None, "phone": "1"})
    driver.profile("ann", T + 3, identities={"email": None})
    assert told(driver)[1:] == [("email", "a@b.c", "ann", 2, True), ("phone", "1", "ann", 2, False)]
    row = driver.pipeline.look("default", "ann", T + 3)
    assert row is not None
    assert known_identities(row) == {"phone": "1"}


def test_an_empty_identity_says_nothing() -> None:
    driver = Driver(NOBODY)
    driver.track("ann", "view", T, identities={"email": "a@b.c"})
    driver.track("ann", "view", T + 1, identities={"email": ""})
    driver.track("ann", "view", T + 2, identities={"email": None})
    assert told(driver) == [("email", "a@b.c", "ann", 0, False), ("email", "a@b.c", "ann", 2, True)]


def test_a_late_event_claims_at_the_instant_at_which_it_is_applied() -> None:
    driver = Driver(NOBODY)
    driver.track("ann", "view", T + 5, time=T - 1000, identities={"email": "a@b.c"})
    assert told(driver) == [("email", "a@b.c", "ann", 5, False)]


def test_a_refused_record_claims_nothing() -> None:
    driver = Driver(NOBODY)
    driver.track("ann", "view", T, identities={"email": "x" * 600})
    assert (driver.codes(), driver.claims) == (["identities"], [])


HISTORY: list[tuple[str, dict[str, Any]]] = [
    ("ann", {"email": "a@b.c"}),
    ("bob", {"email": "a@b.c", "device": "1"}),
    ("ann", {"device": "1"}),
    ("bob", {"email": None}),
    ("cy", {"email": "c@b.c", "device": "2"}),
    ("ann", {"email": "n@b.c", "device": "2"}),
    ("cy", {"device": None, "email": "a@b.c"}),
]


def taken(*, crash: int | None, lose_store: bool = False, in_flight: int = 0) -> dict[Any, Any]:
    """What compaction leaves of the claims of a history, with a crash in the place of a write."""
    driver = Driver(NOBODY, partitions=2, in_flight=in_flight)
    for at, (user, identities) in enumerate(HISTORY):
        driver.track(user, "view", T + at, identities=identities) if crash is None else driver.send(
            {"user_id": user, "event": "view", "identities": identities},
            T + at,
            key=user.encode(),
            partition=driver._place(user, None),
        )
    if crash is not None:
        driver.crash_after(crash)
        try:
            driver.run(lambda: 2)
        except Crash:
            driver.restart(lose_store=lose_store)
            driver.run(lambda: 3)
    return {key: (partition, value) for partition, key, value in driver.claims}


@pytest.mark.parametrize("lose_store", [False, True])
@pytest.mark.parametrize("in_flight", [0, 2])
def test_after_a_crash_between_any_two_writes_the_claims_are_the_same(
    lose_store: bool, in_flight: int
) -> None:
    expected = taken(crash=None)
    for crash in range(60):
        assert taken(crash=crash, lose_store=lose_store, in_flight=in_flight) == expected, crash


def test_a_claim_goes_out_after_the_row_that_makes_it() -> None:
    for crash in range(30):
        driver = Driver(NOBODY)
        driver.send(
            {"user_id": "ann", "event": "view", "identities": {"email": "a@b.c"}}, T, key=b"ann", partition=0
        )
        driver.crash_after(crash)
        try:
            driver.run()
        except Crash:
            driver.deliver()
            keys = {key for _, key, _, _ in driver.parts[0].changelog}
            assert not driver.claims or b"ann" in keys, crash
