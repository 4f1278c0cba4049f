"""One lookup of many users: identities become ids, users go to who holds them, answers come in order.

Each process that holds some of the users is asked once, all at the same time. A process that is late costs
its own users their answers, and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog
from msgspec.structs import replace

from app.http.users import UserRef
from app.lookup.answers import as_object, is_unavailable, with_resolution
from app.lookup.held import Credentials, Held, NoAnswer, Others
from app.lookup.model import LookupRequest, Told, UserAnswer
from app.lookup.resolver import Resolver

log = structlog.get_logger("turnstile.lookup")


class Lookups:
    """Of one process. ``then``: who is asked for the users of whom neither it nor an owner can tell."""

    def __init__(self, held: Held, others: Others, resolver: Resolver, then: Lookups | None = None) -> None:
        self.held = held
        self._others = others
        self._resolver = resolver
        self._then = then

    async def answer(self, asked: LookupRequest, credentials: Credentials | None) -> list[UserAnswer]:
        """``told``, as objects."""
        return list(map(as_object, await self.told(asked, credentials)))

    async def told(self, asked: LookupRequest, credentials: Credentials | None) -> list[Told]:
        """One answer for each user, in the order asked. The audiences must be known.

        ``credentials`` None: what this process doesn't hold is ``unavailable`` and no other is asked.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + asked.deadline_ms / 1000
        users, resolved_ms = await self._resolved(asked, credentials)
        ids = list(dict.fromkeys([each for each in users if isinstance(each, str)]))
        found = await self._found(ids, asked, credentials, ends)
        answers: list[Told] = [
            each if isinstance(each, UserAnswer) else found.get(each) or UserAnswer("unavailable", each)
            for each in users
        ]
        if resolved_ms:
            named = zip(answers, asked.users, strict=True)
            answers = [with_resolution(each, resolved_ms.get(user.identity)) for each, user in named]
        return answers

    def at_once(self, user_ids: Sequence[str], asked: LookupRequest) -> list[bytes] | None:
        """The same as JSON for users of these ids, where all can be told at once; None: ``told`` must."""
        places = self.held.partitions_of(user_ids)
        groups: defaultdict[int, list[str]] = defaultdict(list)
        for partition, each in zip(places, user_ids, strict=True):
            groups[partition].append(each)
        found = self.held.look_at_once(groups, asked)
        if found is None or len(found) == 1:
            return None if found is None else found[places[0]]
        told = {partition: iter(answers) for partition, answers in found.items()}
        return [next(told[partition]) for partition in places]

    async def _resolved(
        self, asked: LookupRequest, credentials: Credentials | None
    ) -> tuple[list[str | UserAnswer], dict[tuple[str, str] | None, int | None]]:
        """Each user's id, or the answer where there is none; and as of when each identity's user is known.

        Half of the time is for this: the users that are known by then can still be asked about.
        """
        identities = list(dict.fromkeys(each.identity for each in asked.users if each.identity is not None))
        if not identities:
            return [each.user_id or UserAnswer("unknown_user") for each in asked.users], {}
        seconds = asked.deadline_ms / 2000
        resolved = await self._resolver.resolve(asked.project, identities, credentials, seconds)
        by_identity: dict[tuple[str, str] | None, str | UserAnswer] = {}
        for identity, each in zip(identities, resolved, strict=True):
            nobody = UserAnswer("unknown_user" if each.is_known else "unavailable", as_of_ms=each.as_of_ms)
            by_identity[identity] = each.user_id or nobody
        users = [
            each.user_id or by_identity.get(each.identity) or UserAnswer("unavailable")
            for each in asked.users
        ]
        as_of = zip(identities, resolved, strict=True)
        return users, {identity: each.as_of_ms for identity, each in as_of}

    async def _found(
        self, ids: Sequence[str], asked: LookupRequest, credentials: Credentials | None, ends: float
    ) -> dict[str, Told]:
        """The answers that there are, by id of the user."""
        found: dict[str, Told] = {}
        elsewhere = await self._here(ids, asked, found)
        if elsewhere and credentials is not None:
            await self._there(elsewhere, asked, credentials, ends, found)
        if self._then is not None:
            lacking = [each for each in ids if each not in found or is_unavailable(found[each])]
            left_ms = int((ends - asyncio.get_running_loop().time()) * 1000)
            if lacking and left_ms > 0:
                hop = replace(asked, deadline_ms=left_ms)
                found |= await self._then._found(lacking, hop, credentials, ends)
        return found

    async def _here(
        self, ids: Sequence[str], asked: LookupRequest, found: dict[str, Told]
    ) -> dict[int, list[str]]:
        """Answer for what is held here; the users of the other partitions."""
        groups: defaultdict[int, list[str]] = defaultdict(list)
        for partition, each in zip(self.held.partitions_of(ids), ids, strict=True):
            groups[partition].append(each)
        answers = await asyncio.gather(*(self.held.look(each, groups[each], asked) for each in groups))
        elsewhere: dict[int, list[str]] = {}
        for (partition, of), here in zip(groups.items(), answers, strict=True):
            told = [None] * len(of) if here is None else here
            found.update((user_id, each) for user_id, each in zip(of, told, strict=True) if each is not None)
            if lacking := [user_id for user_id, each in zip(of, told, strict=True) if each is None]:
                elsewhere[partition] = lacking
        return elsewhere

    async def _there(
        self,
        elsewhere: Mapping[int, list[str]],
        asked: LookupRequest,
        credentials: Credentials,
        ends: float,
        found: dict[str, Told],
    ) -> None:
        by_url: defaultdict[str, list[str]] = defaultdict(list)
        for partition, ids in elsewhere.items():
            if (url := self._others.url_of(partition)) is not None:
                by_url[url] += ids
        left_ms = int((ends - asyncio.get_running_loop().time()) * 1000)
        if left_ms <= 0:
            return

        async def ask(url: str, ids: list[str]) -> None:
            users = tuple(UserRef(each) for each in ids)
            try:
                async with asyncio.timeout_at(ends):
                    hop = replace(asked, users=users, deadline_ms=left_ms)
                    answers = await self._others.ask(url, hop, credentials)
            except (NoAnswer, TimeoutError) as error:
                log.info("owner_is_silent", url=url, users=len(ids), error=str(error) or "too late")
            else:
                found.update(zip(ids, answers, strict=True))

        await asyncio.gather(*(ask(*each) for each in by_url.items()))
