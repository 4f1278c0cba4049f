"""What is written so that the last record of each claim is the newest, and nothing of erased users stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.state.identities import Claim
from tables.claims import Record, Standing, encode_claim
from tables.identities import IdentityStore
from tables.memory_store import MemoryStore
from tables.mending import claim_keys, forgetting, to_mend

ERASED_MS = 5
USERS = ("ann", "bob")
VALUES = ("a@b.c", "d@e.f")


def claim(user: str, time_ms: int, value: str = "a@b.c", unset: bool = False) -> Record:
    return Record(*encode_claim(Claim("default", "email", value, user, time_ms, unset)))


def key(user: str) -> bytes:
    return claim(user, 0).key or b""


def nobody(project: str, user_id: str) -> int | None:
    return None


def ann_at_5(project: str, user_id: str) -> int | None:
    return ERASED_MS if (project, user_id) == ("default", "ann") else None


def test_a_claim_that_follows_a_newer_one_is_followed_by_the_newer_one() -> None:
    newer = claim("ann", 9)
    assert to_mend([claim("ann", 1)], {key("ann"): Standing(9, False)}, nobody) == [newer]
    assert to_mend([newer, claim("ann", 1)], {}, nobody) == [newer]
    given_up = claim("ann", 9, unset=True)
    assert to_mend([given_up, claim("ann", 1)], {}, nobody) == [given_up]


def test_where_the_newest_is_the_last_nothing_is_written() -> None:
    assert to_mend([claim("ann", 1), claim("ann", 9)], {key("ann"): Standing(9, False)}, nobody) == []
    assert to_mend([claim("ann", 9), claim("ann", 1), claim("ann", 9)], {}, nobody) == []
    assert to_mend([Record(b"x", b"{}"), Record(None, b"{}")], {}, nobody) == []


def test_what_an_erased_user_claimed_is_forgotten_whenever_it_comes() -> None:
    gone = Record(key("ann"), None, ERASED_MS)
    assert to_mend([claim("ann", 5), claim("bob", 5)], {}, ann_at_5) == [gone]
    assert to_mend([gone, claim("ann", 1)], {}, ann_at_5) == [gone]
    assert to_mend([claim("ann", 1), gone], {}, ann_at_5) == []
    assert to_mend([claim("ann", 6)], {key("ann"): Standing(1, False)}, ann_at_5) == []
    assert forgetting(key("ann"), Standing(6, False), ann_at_5) is None


def test_a_claim_after_the_return_outlives_a_late_record_that_forgets() -> None:
    again, gone = claim("ann", 6), Record(key("ann"), None, ERASED_MS)
    assert to_mend([again, gone], {key("ann"): Standing(1, False)}, ann_at_5) == [again]
    assert to_mend([gone], {key("ann"): Standing(6, False)}, ann_at_5) == [again]
    assert to_mend([Record(key("ann"), None)], {key("ann"): Standing(6, False)}, ann_at_5) == []


records = st.builds(
    claim, st.sampled_from(USERS), st.integers(0, 9), st.sampled_from(VALUES), st.booleans()
) | st.builds(lambda each: Record(each.key, None, ERASED_MS), st.builds(claim, st.just("ann"), st.just(0)))


@given(st.lists(records), st.lists(st.integers(1, 4)))
def test_at_the_end_the_last_records_are_what_holds_and_nothing_is_of_erased_users(
    log: list[Record], sizes: list[int]
) -> None:
    """Whatever order things come in, in batches of any size, with what the owner writes at the end of all."""
    store, at = IdentityStore(MemoryStore()), 0
    for number in range(1_000):
        batch = log[at : at + (sizes[number] if number < len(sizes) else 5)]
        if not batch:
            break
        keys = claim_keys(batch)
        log = log + to_mend(batch, dict(zip(keys, store.standing(keys), strict=True)), ann_at_5)
        at += len(batch)
        store.take(batch, at, b"")
    else:
        raise AssertionError("the owner goes on for ever")
    last = {each.key: each for each in log}
    compacted = IdentityStore(MemoryStore())
    compacted.take(last.values(), at, b"")
    assert compacted.claims(b"", 100) == store.claims(b"", 100)
    live = [each for each in last.values() if each.value is not None]
    assert len(live) == len(store.claims(b"", 100))
    for each in live:
        (standing,) = store.standing([each.key or b""])
        assert standing is not None
        assert b"bob" in (each.key or b"") or standing.time_ms > ERASED_MS
