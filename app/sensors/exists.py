"""``express-audience-online``: whether users are in audiences."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from aiohttp import web
from msgspec import Struct

from agents.registry.audiences_feed import AudiencesFeed
from app.http.answers import Json, ProblemError
from app.http.forwarding import Forwarding
from app.http.problems import Handler, HttpProblem
from app.http.routes import Body, JsonBody, Route
from app.http.users import UserRef
from app.lookup.lookups import Lookups
from app.lookup.model import MOST_HINTS, MOST_PAIRS, MOST_USERS, LookupRequest, UserAnswer
from app.sensors.asked import HEADERS, project_of
from app.sensors.entities import Entity, EntityWrong, users_of
from app.sensors.envelope import ROOT, Envelope, ErrorEnvelope, answer_twice
from app.settings.tree import Settings
from rules.parse.problems import name_hint

ONLINE: Final = ROOT + "/express-audience-online"
MOST_AUDIENCES: Final = MOST_PAIRS
_TITLE: Final = "Not a question"

Answer = Callable[[web.Request, LookupRequest], Awaitable[list[UserAnswer]]]
"""Looks users up for the caller of a request."""


class OneUser(Struct, frozen=True):
    """One user and the audiences that are asked about."""

    audience_biz_ids: list[str]
    audience_entity_id: Entity


class ManyUsers(Struct, frozen=True):
    """Users, and the audience that is asked about."""

    audience_biz_id: str
    audience_entity_ids: list[Entity]


class AudiencesUnknown(HttpProblem):
    """404: some audiences aren't published in the project."""

    code = "AUDIENCE_NOT_FOUND"


class AudiencesNotReady(HttpProblem):
    """409: who is in some audiences is still being computed."""

    code = "AUDIENCE_NOT_READY"


class Looking(Protocol):
    """What these paths need of a process."""

    settings: Settings
    feed: AudiencesFeed


ONE_USER = JsonBody(OneUser, _TITLE)
MANY_USERS = JsonBody(ManyUsers, _TITLE)


def look_for_callers(lookups: Lookups, forwarding: Forwarding) -> Answer:
    """What a process doesn't hold is asked of others with the caller's key."""

    async def look(request: web.Request, asked: LookupRequest) -> list[UserAnswer]:
        return await lookups.answer(asked, forwarding.credentials(request))

    return look


class ExistsRoutes:
    """``look`` answers lookups."""

    def __init__(self, process: Looking, look: Answer) -> None:
        self._process = process
        self._look = look

    def routes(self) -> list[Route]:
        one, many = "Which of several audiences a user is in", "Which of several users are in an audience"
        return [
            _route("/audience-entity/exists", self._one_user, one, ONE_USER),
            _route("/audience-entities/exists", self._many_users, many, MANY_USERS),
        ]

    async def _one_user(self, request: web.Request) -> Json[Envelope[dict[str, bool]]]:
        project = project_of(request)
        asked = await ONE_USER.decoded(request)
        audiences = list(dict.fromkeys(asked.audience_biz_ids))
        _at_most(len(audiences), MOST_AUDIENCES, "audience_biz_ids")
        names = self._names(project, [asked.audience_entity_id], ["$.audience_entity_id"])
        self._require_audiences(project, audiences)
        found = await self._found(request, project, names, audiences) if audiences else [{}]
        user = found[0]
        return answer_twice(request, {each: user.get(each, False) for each in audiences})

    async def _many_users(self, request: web.Request) -> Json[Envelope[list[bool]]]:
        project = project_of(request)
        asked = await MANY_USERS.decoded(request)
        entities, audience = asked.audience_entity_ids, asked.audience_biz_id
        _at_most(len(entities), MOST_USERS, "audience_entity_ids")
        paths = [f"$.audience_entity_ids[{at}]" for at in range(len(entities))]
        names = self._names(project, entities, paths)
        self._require_audiences(project, [audience])
        users = await self._found(request, project, names, [audience]) if names else []
        return answer_twice(request, [each.get(audience, False) for each in users])

    def _names(self, project: str, entities: Sequence[Entity], paths: Sequence[str]) -> list[list[UserRef]]:
        """Of each entity the ways in which it names its user. Raises HttpProblem with all that is wrong."""
        is_id = any(each.format == "sensors" for each in self._process.settings.sources.formats)
        names: list[list[UserRef]] = []
        errors: list[ProblemError] = []
        for entity, path in zip(entities, paths, strict=True):
            try:
                names.append(users_of(entity, path, distinct_is_user_id=is_id))
            except EntityWrong as wrong:
                errors.append(wrong.error)
        if errors:
            told = "; ".join(f"{each.path}: {each.message}" for each in errors)
            raise HttpProblem(400, _TITLE, told, errors=errors)
        return names

    def _require_audiences(self, project: str, audiences: Iterable[str]) -> None:
        """Raises AudiencesUnknown."""
        unknown = [each for each in audiences if not self._is_published(project, each)]
        if not unknown:
            return
        published = self._process.feed.published.values()
        known = [e.audience.id for e in published if e.audience.project == project and not e.deleted]
        errors = [
            ProblemError(
                "unknown_audience",
                "",
                f"no audience {each!r}",
                name_hint(each, known) if known and number < MOST_HINTS else "",
            )
            for number, each in enumerate(unknown)
        ]
        told = ", ".join(map(repr, unknown[:MOST_HINTS]))
        more = f" and {len(unknown) - MOST_HINTS} others" if len(unknown) > MOST_HINTS else ""
        detail = f"project {project!r} has no audience {told}{more}"
        raise AudiencesUnknown(404, "No such audience", detail, errors=errors)

    def _is_published(self, project: str, audience: str) -> bool:
        found = self._process.feed.published.get(f"{project}/{audience}".encode("utf-8", "replace"))
        return found is not None and not found.deleted

    async def _found(
        self, request: web.Request, project: str, names: Sequence[Sequence[UserRef]], audiences: list[str]
    ) -> list[Mapping[str, bool]]:
        """Of each user, which of the audiences it is in. Raises HttpProblem where that isn't known now."""
        refs = tuple(ref for of_one in names for ref in of_one)
        answers = iter(await self._look(request, LookupRequest(project, refs, tuple(audiences))))
        return [_memberships([next(answers) for _ in of_one], audiences) for of_one in names]


def _memberships(answers: Sequence[UserAnswer], audiences: Sequence[str]) -> Mapping[str, bool]:
    """What the answers to all names of one user say; an unknown user is in nothing. Raises HttpProblem."""
    for each in answers:
        if each.status == "unavailable":
            raise HttpProblem(503, "Not available now", "a user can't be looked up now: ask again")
        lacking = [name for name in audiences if name not in each.memberships]
        if each.status == "not_ready" or (each.status == "ok" and lacking):
            told = ", ".join(map(repr, lacking))
            raise AudiencesNotReady(409, "Audience is not ready", f"who is in {told} is still being computed")
        if each.status == "ok":
            return {name: membership.member for name, membership in each.memberships.items()}
    return {}


def _at_most(count: int, most: int, name: str) -> None:
    if count > most:
        raise HttpProblem(400, _TITLE, f"{name} may have {most} items at most, not {count}")


def _route(path: str, handler: Handler, summary: str, body: Body) -> Route:
    return Route(
        "POST",
        ONLINE + path,
        handler,
        "lookup",
        summary,
        headers=HEADERS,
        body=body,
        problems=(404, 409),
        problem=ErrorEnvelope,
    )
