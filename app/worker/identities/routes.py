"""Identities over HTTP: whose they are, and which of them several users claim. Workers and readers answer.

Collisions are listed like members of an audience: partition by partition, each from the worker that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Protocol
from urllib.parse import urlencode

from aiohttp import web
from msgspec import Meta, Struct

from app.http.answers import Instant, Json, ProblemError
from app.http.forwarding import Forwarding, moved
from app.http.problems import RETRY_SECONDS, HttpProblem
from app.http.projects import PROJECT, project_of
from app.http.routes import JsonBody, Query, Route
from app.http.users import UserUnreadable, user_of_json
from app.lookup.identities import (
    DISTINCT_ID,
    PATH,
    HeldIdentities,
    IdentityOwners,
    ResolvedIdentities,
    resolved_shown,
)
from app.lookup.model import MOST_USERS
from app.lookup.resolver import Identity
from app.settings.limits import limits_of
from app.settings.tree import Settings
from app.worker.cursor import Cursor
from app.worker.http_members import AFTER, LIMIT, MOST_HOPS, MOST_MEMBERS, decoded, limit_of
from rules.time.instants import format_instant
from tables.identities import Collision

TITLE: Final = "Not a list of identities"
COLLISIONS: Final = Query("limit", f"Identities of a page, at most {MOST_MEMBERS}", default=str(LIMIT))


class IdentitiesAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Identities, each an object with one namespace and its value."""

    identities: Annotated[list[dict[str, str]], Meta(min_length=1, max_length=MOST_USERS)]


class Claimed(Struct, frozen=True):
    """A user who claims an identity, and since when."""

    user_id: str
    time: Instant


class CollisionShown(Struct, frozen=True):
    """An identity that several users claim; lookups find the first one."""

    identity: dict[str, str]
    claimants: Annotated[int, Meta(description="How many users claim it")]
    claims: Annotated[list[Claimed], Meta(description="The user who has it, and some of the others")]


class CollisionsPage(Struct, frozen=True):
    """Some identities that several users claim, in an order that stays."""

    project: str
    as_of: Annotated[Instant, Meta(description="Claims that were written up to this instant count")]
    collisions: list[CollisionShown]
    next: Annotated[
        str | None, Meta(description="`after` of the next page; null: there is none. A page may be short")
    ]


class Kept(HeldIdentities, Protocol):
    """The identities that a process keeps."""

    def collided(
        self, partition: int, project: str, after: bytes, limit: int
    ) -> tuple[Sequence[Collision], bytes | None, int] | None:
        """Some collisions, where the next ones begin, and the instant (ms); None: as ``holders``."""
        ...


class Keeper(Protocol):
    """A process that is asked."""

    settings: Settings

    @property
    def identities(self) -> Kept: ...

    @property
    def partitions(self) -> int: ...


class Identities:
    """Of one process; ``forwarding`` asks the others."""

    def __init__(self, worker: Keeper, forwarding: Forwarding) -> None:
        self._worker = worker
        self._forwarding = forwarding
        self._body = JsonBody(IdentitiesAsked, TITLE)
        formats = limits_of(worker.settings).formats.values()
        user_ids = {DISTINCT_ID} if any(each.name == "sensors" for each in formats) else ()
        self.resolver = IdentityOwners(
            lambda: worker.identities, lambda: worker.partitions, forwarding, frozenset(user_ids)
        )

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                PATH,
                self._resolve,
                "lookup",
                "Whose these identities are",
                query=(PROJECT,),
                body=self._body,
            ),
            Route(
                "GET",
                "/v1/identities/collisions",
                self._collisions,
                "lookup",
                "Identities that several users claim, page by page",
                query=(AFTER, COLLISIONS, PROJECT),
            ),
        ]

    async def _resolve(self, request: web.Request) -> Json[ResolvedIdentities]:
        project = project_of(request)
        identities = _identities_of(await self._body.decoded(request))
        credentials = self._forwarding.credentials(request)
        found = await self.resolver.resolve(project, identities, credentials)
        answers = [resolved_shown(*each) for each in zip(identities, found, strict=True)]
        response = Json(ResolvedIdentities(project, answers))
        if not all(each.is_known for each in found):
            response.headers["Retry-After"] = RETRY_SECONDS
        return response

    async def _collisions(self, request: web.Request) -> Json[CollisionsPage]:
        project, limit = project_of(request), limit_of(COLLISIONS, request)
        text = AFTER.of(request)
        begin = Cursor() if text is None else Cursor.of(text, self._worker.partitions)
        found: list[CollisionShown] = []
        as_of: list[str] = []
        at: Cursor | None = begin
        for _ in range(MOST_HOPS):
            if at is None or len(found) >= limit:
                break
            try:
                page = await self._page(request, project, at, limit - len(found))
            except HttpProblem:
                if at == begin:
                    raise
                break  # the next page's request is told
            found += page.collisions
            as_of.append(page.as_of)
            at = None if page.next is None else Cursor.of(page.next, self._worker.partitions)
        return Json(CollisionsPage(project, min(as_of), found, None if at is None else at.text))

    async def _page(self, request: web.Request, project: str, at: Cursor, limit: int) -> CollisionsPage:
        """What one worker tells of collisions from there on. Raises HttpProblem where nobody can."""
        held = self._worker.identities.collided(at.partition, project, at.after, limit)
        if held is None:
            url = self._forwarding.other(request, at.partition)
            if url is None:
                raise moved([at.partition])
            query = {AFTER.name: at.text, COLLISIONS.name: str(limit), PROJECT.name: project}
            path = f"/v1/identities/collisions?{urlencode(query)}"
            return decoded(await self._forwarding.get(request, url, path), CollisionsPage)
        collisions, after, as_of_ms = held
        shown = [
            CollisionShown(
                {each.identity[1]: each.identity[2]},
                each.claimants,
                [Claimed(user_id, format_instant(time_ms)) for user_id, time_ms in each.claims],
            )
            for each in collisions
        ]
        following = Cursor(at.partition, after) if after is not None else Cursor(at.partition + 1)
        is_end = following.partition >= self._worker.partitions
        return CollisionsPage(project, format_instant(as_of_ms), shown, None if is_end else following.text)


def _identities_of(asked: IdentitiesAsked) -> list[Identity]:
    """Raises HttpProblem with everything that is wrong."""
    found: list[Identity] = []
    errors: list[ProblemError] = []
    for number, each in enumerate(asked.identities):
        try:
            user = user_of_json({"identity": each}, f"identities[{number}]")
        except UserUnreadable as unreadable:
            errors += unreadable.errors
            continue
        if user.identity is not None:
            found.append(user.identity)
    if errors:
        raise HttpProblem(400, TITLE, f"{errors[0].path}: {errors[0].message}", errors=errors)
    return found
