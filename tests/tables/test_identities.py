"""The rule of claims, against a model: any order among users, repeats, compaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from rules.state.identities import Claim
from tables.claims import Record, Standing, encode_claim, identity_prefix
from tables.identities import MOST_LISTED, IdentityStore
from tables.memory_store import MemoryStore

USERS = ("u1", "u2", "ü3", 'u"4')
VALUES = ("a@b.c", 'a"@b.c', "a@b.c,")
ID = b"topic"


@dataclass
class Model:
    """All claims that stand, and nothing clever."""

    standing: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, claim: Claim) -> None:
        if claim.unset:
            self.standing.pop((claim.value, claim.user_id), None)
        else:
            self.standing[claim.value, claim.user_id] = claim.time_ms

    def holder(self, value: str) -> str | None:
        of = [(time_ms, user) for (named, user), time_ms in self.standing.items() if named == value]
        return max(of)[1] if of else None

    def claimants(self, value: str) -> int:
        return sum(named == value for named, _ in self.standing)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Claim]]:
    """Of each user, claims whose times don't go back."""
    found: list[list[Claim]] = []
    for user in USERS:
        now_ms, claims = 0, list[Claim]()
        for _ in range(draw(st.integers(0, 5))):
            now_ms += draw(st.integers(0, 3))
            claims.append(
                Claim("default", "email", draw(st.sampled_from(VALUES)), user, now_ms, draw(st.booleans()))
            )
        found.append(claims)
    return found


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[list[Claim]], list[Record]]:
    """Histories, and a log of them: users in any order, what a crash sends again, what compaction takes."""
    of = draw(histories())
    log: list[Record] = []
    sent = [0] * len(of)
    while any(at < len(each) for at, each in zip(sent, of, strict=True)):
        user = draw(st.sampled_from([n for n, each in enumerate(of) if sent[n] < len(each)]))
        if sent[user] and draw(st.booleans()):
            sent[user] = draw(st.integers(0, sent[user]))  # sent again from here on
        log.append(Record(*encode_claim(of[user][sent[user]])))
        sent[user] += 1
    if draw(st.booleans()):
        upto = draw(st.integers(0, len(log)))
        last = {each.key: at for at, each in enumerate(log[:upto])}
        log = [each for at, each in enumerate(log) if at >= upto or last[each.key] == at]
    return of, log


def taken(log: Sequence[Record], size: int) -> IdentityStore:
    store = IdentityStore(MemoryStore())
    for start in range(0, len(log), size):
        store.take(log[start : start + size], start + size, ID)
    return store


def holder(store: IdentityStore, value: str) -> str | None:
    (found,) = store.holders([("default", "email", value)])
    return None if found is None else found.user_id


@given(logs(), st.integers(1, 9))
def test_the_newest_claim_holds_in_whichever_order_users_come(
    made: tuple[list[list[Claim]], list[Record]], size: int
) -> None:
    histories, log = made
    model = Model()
    for claims in histories:
        for claim in claims:
            model.take(claim)
    store = taken(log, size)
    for value in VALUES:
        assert holder(store, value) == model.holder(value)
    collided = {value: model.claimants(value) for value in VALUES if model.claimants(value) > 1}
    listed, after = store.collided("default", b"", 10)
    assert {each.identity[2]: each.claimants for each in listed} == collided
    assert all(len(each.claims) == each.claimants for each in listed)
    assert all(each.claims[0][0] == model.holder(each.identity[2]) for each in listed)
    assert (store.collisions, after) == (len(collided), None)


def claim(user: str, time_ms: int, unset: bool = False, value: str = "a@b.c") -> Record:
    return Record(*encode_claim(Claim("default", "email", value, user, time_ms, unset)))


def test_who_claims_later_has_it_and_whoever_had_it_before_gets_it_back() -> None:
    store = taken([claim("u1", 1), claim("u2", 2)], 1)
    assert holder(store, "a@b.c") == "u2"
    store.take([claim("u2", 3, unset=True)], 3, ID)
    assert holder(store, "a@b.c") == "u1"
    store.take([claim("u1", 3, unset=True)], 4, ID)
    assert holder(store, "a@b.c") is None


def test_of_two_claims_of_one_instant_that_of_the_user_whose_id_sorts_last_holds() -> None:
    assert holder(taken([claim("u2", 1), claim("u1", 1)], 2), "a@b.c") == "u2"


def test_a_claim_that_comes_again_after_a_later_one_changes_nothing() -> None:
    store = taken([claim("u1", 1), claim("u1", 2, unset=True), claim("u1", 1)], 1)
    assert holder(store, "a@b.c") is None


def test_a_record_without_a_value_forgets_the_claim() -> None:
    forgotten = claim("u2", 2)
    store = taken([claim("u1", 1), forgotten, Record(forgotten.key, None)], 3)
    assert holder(store, "a@b.c") == "u1"
    assert store.claims(b"", 10) == [(claim("u1", 1).key, Standing(1, False))]
    assert store.standing([forgotten.key or b""]) == [None]


def test_a_record_that_forgets_what_was_claimed_before_an_erasure_leaves_what_came_after() -> None:
    of_erased = Record(claim("u1", 0).key, None, 5)
    store = taken([claim("u1", 5), of_erased], 1)
    assert holder(store, "a@b.c") is None
    store.take([claim("u1", 6), of_erased], 3, ID)
    assert holder(store, "a@b.c") == "u1"


def test_what_is_no_claim_is_told_and_passed_by() -> None:
    store = IdentityStore(MemoryStore())
    told = store.take(
        [Record(b"x", b"{}"), Record(None, b"{}"), Record(claim("u1", 1).key, b"{}"), claim("u1", 1)], 4, ID
    )
    assert len(told) == 3
    assert holder(store, "a@b.c") == "u1"


def test_a_store_that_is_opened_again_goes_on_where_it_was() -> None:
    rows = MemoryStore()
    IdentityStore(rows).take([claim("u1", 1), claim("u2", 2)], 7, ID, read_ms=5)
    again = IdentityStore(rows)
    assert (again.position, again.topic_id, again.collisions, again.read_ms) == (7, ID, 1, 5)
    again.take([claim("u2", 3, unset=True)], 8, ID)
    assert (holder(again, "a@b.c"), again.collisions) == ("u1", 0)


def test_collisions_come_page_by_page() -> None:
    log = [claim(user, 1, value=f"{n}@b.c") for n in range(5) for user in ("u1", "u2")]
    store = taken(log, 3)
    found, after, pages = list[str](), b"", 0
    while True:
        listed, next_after = store.collided("default", after, 2)
        found += [each.identity[2] for each in listed]
        pages += 1
        if next_after is None:
            break
        after = next_after
    assert (found, pages) == ([f"{n}@b.c" for n in range(5)], 3)


def test_of_a_value_that_everybody_has_some_users_are_named() -> None:
    store = taken([claim(f"u{n}", n) for n in range(100)], 30)
    ((collision,), _) = store.collided("default", b"", 10)
    assert (collision.claimants, len(collision.claims), collision.claims[0]) == (
        100,
        MOST_LISTED,
        ("u99", 99),
    )
    assert store.collided("other", b"", 10) == ([], None)


def test_no_identity_has_claims_under_the_prefix_of_another() -> None:
    assert not encode_claim(Claim("default", "email", "a@b.c,", "u", 1))[0].startswith(
        identity_prefix(("default", "email", "a@b.c"))
    )
