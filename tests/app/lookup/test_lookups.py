"""One lookup of many users: in order, a status for each, nobody pays for another's owner."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from app.http.users import UserRef
from app.lookup.held import Credentials, NoAnswer
from app.lookup.lookups import Lookups
from app.lookup.model import LookupRequest, Membership, Told, UserAnswer
from app.lookup.resolver import Identity, Resolution
from rules.compile.rule_set import EMPTY, RuleSet

IN = Membership(True, 1_000, None, 1)
KEY = {"api-key": "k"}


class Digits:
    """A user's partition is the last digit of the id; this process holds some of them."""

    def __init__(self, *held: int) -> None:
        self.rules: RuleSet = EMPTY
        self._held = held

    def partitions_of(self, user_ids: Sequence[str]) -> list[int]:
        return [int(each[-1]) for each in user_ids]

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        if partition not in self._held:
            return None
        return [UserAnswer("ok", each, {"buyers": IN}, 2_000) for each in user_ids]

    def look_at_once(
        self, by_partition: Mapping[int, Sequence[str]], asked: LookupRequest
    ) -> dict[int, list[bytes]] | None:
        if not set(by_partition).issubset(self._held):
            return None
        return {each: [user_id.encode() for user_id in of] for each, of in by_partition.items()}


class Owners:
    """Partition 7 has no owner now; that of 8 is silent, that of 9 fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str | None]]] = []

    def url_of(self, partition: int) -> str | None:
        return None if partition == 7 else f"http://{max(partition, 6)}"

    async def ask(self, url: str, asked: LookupRequest, credentials: Credentials) -> list[Told]:
        assert credentials == KEY
        self.asked.append((url, [each.user_id for each in asked.users]))
        if url == "http://8":
            await asyncio.Event().wait()
        if url == "http://9":
            raise NoAnswer("503")
        return [UserAnswer("ok", each.user_id, {}, 3_000) for each in asked.users]


class Emails:
    async def resolve(
        self,
        project: str,
        identities: Sequence[Identity],
        credentials: Credentials | None,
        seconds: float | None = None,
    ) -> list[Resolution]:
        return [Resolution("u1" if value == "ada" else None, 500) for _, value in identities]


class Nobody:
    """Keeps no identities, and nobody can be asked."""

    async def resolve(
        self,
        project: str,
        identities: Sequence[Identity],
        credentials: Credentials | None,
        seconds: float | None = None,
    ) -> list[Resolution]:
        return [Resolution(None, is_known=False) for _ in identities]


def request(*names: str, deadline_ms: int = 2_000) -> LookupRequest:
    return LookupRequest("default", tuple(UserRef(each) for each in names), deadline_ms=deadline_ms)


async def test_answers_are_in_the_order_asked_whoever_gives_them() -> None:
    owners = Owners()
    answers = await Lookups(Digits(0, 1), owners, Nobody()).answer(
        request("a2", "a1", "b3", "a0", "a1", "c2"), KEY
    )
    assert [(each.user_id, each.as_of_ms) for each in answers] == [
        ("a2", 3_000),
        ("a1", 2_000),
        ("b3", 3_000),
        ("a0", 2_000),
        ("a1", 2_000),
        ("c2", 3_000),
    ]
    assert owners.asked == [("http://6", ["a2", "c2", "b3"])], "an owner is asked once for all of its users"


class AllButEve(Digits):
    """A reader whose partition is being grafted: only the owner can tell of Eve."""

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        told = await super().look(partition, user_ids, asked)
        return [None if each == "eve1" else said for each, said in zip(user_ids, told or (), strict=True)]


async def test_a_user_of_whom_only_the_owner_can_tell_is_asked_of_it_and_the_others_are_not() -> None:
    owners = Owners()
    answers = await Lookups(AllButEve(1), owners, Nobody()).answer(request("ann1", "eve1", "bob1"), KEY)
    assert [each.as_of_ms for each in answers] == [2_000, 3_000, 2_000]
    assert owners.asked == [("http://6", ["eve1"])]


async def test_an_owner_that_is_away_or_late_costs_its_own_users_their_answers() -> None:
    lookups = Lookups(Digits(1), Owners(), Nobody())
    answers = await lookups.answer(request("a1", "a7", "a8", "a9", "a2", deadline_ms=500), KEY)
    assert [each.status for each in answers] == ["ok", "unavailable", "unavailable", "unavailable", "ok"]


async def test_a_request_from_another_process_goes_no_further() -> None:
    owners = Owners()
    answers = await Lookups(Digits(1), owners, Nobody()).answer(request("a1", "a2"), None)
    assert [each.status for each in answers] == ["ok", "unavailable"]
    assert owners.asked == []


async def test_identities_are_resolved_before_their_users_are_looked_up() -> None:
    users = (UserRef(identity=("email", "ada")), UserRef("u1"), UserRef(identity=("email", "eve")))
    asked = LookupRequest("default", users)
    answers = await Lookups(Digits(1), Owners(), Emails()).answer(asked, KEY)
    assert [(each.status, each.user_id) for each in answers] == [
        ("ok", "u1"),
        ("ok", "u1"),
        ("unknown_user", None),
    ]
    assert [each.resolved_ms for each in answers] == [500, None, 500]
    answers = await Lookups(Digits(1), Owners(), Nobody()).answer(asked, KEY)
    assert [each.status for each in answers] == ["unavailable", "ok", "unavailable"]


async def test_what_no_owner_tells_is_asked_of_those_who_keep_a_standby() -> None:
    keepers = Owners()
    standbys = Lookups(Digits(7, 8), keepers, Nobody())
    lookups = Lookups(Digits(1), Owners(), Nobody(), standbys)
    answers = await lookups.answer(request("a1", "a7", "a9", "b6"), KEY)
    assert [each.status for each in answers] == ["ok", "ok", "unavailable", "ok"]
    assert keepers.asked == [("http://9", ["a9"])], "nobody else is asked of what is here, or told"
    forwarded = await lookups.answer(request("a7", "a9"), None)
    assert [each.status for each in forwarded] == ["ok", "unavailable"]
    assert len(keepers.asked) == 1
