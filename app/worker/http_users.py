"""Lookups of one user: membership, attributes, explanations (docs/http.md). Workers and readers answer them.

A lookup is right at its instant: timers that are due are decided on a copy of the row. What another process
holds is fetched from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from msgspec import Raw, json, structs

from agents.evaluate.evaluator import Answer
from agents.formats.records import MAX_NAME_CHARS
from app.http.answers import Json
from app.http.api_keys import Caller
from app.http.forwarding import Forwarding
from app.http.plain import PlainRequest
from app.http.problems import HttpProblem
from app.http.projects import PROJECT, project_at_once, project_of
from app.http.routes import Route
from app.http.users import BY, USER_ID, target_for, user_of_path
from app.lookup.answers import MembershipShown, UserLookedUp, as_shown
from app.lookup.model import LookupRequest
from app.lookup.resolver import Resolver
from app.worker.answers import Explanation, Member, MemberAudience, StateSummary, User, UserAudiences, told_of
from app.worker.askable import Asked
from app.worker.asked import audience_of, require_ready
from app.worker.held import HeldByWorker, membership_in
from app.worker.http_explain import explanation
from rules.compile.audience import CompiledAudience
from rules.state.identities import known_identities
from rules.state.row import Row
from rules.time.instants import format_instant

_encode = json.Encoder().encode


class UserLookups:
    """Of one process."""

    def __init__(self, process: Asked, forwarding: Forwarding, resolver: Resolver) -> None:
        self._worker = process
        self._forwarding = forwarding
        self._resolver = resolver
        self._held = HeldByWorker(process)

    def routes(self) -> list[Route]:
        asked = (USER_ID, BY, PROJECT)
        user = "/v1/users/{user_id:[^/]+}"
        return [
            Route(
                "GET",
                user + "/audiences",
                self._user_audiences,
                "lookup",
                "Audiences the user is in, at the instant of the request",
                query=asked,
            ),
            Route(
                "GET",
                user,
                self._user,
                "lookup",
                "Attributes, identities and memberships of a user",
                query=asked,
                problems=(404,),
            ),
            Route(
                "GET",
                user + "/explain/{audience:[^/]+}",
                self._explain,
                "lookup",
                "Why the user is in the audience or not: the rule as a tree of sentences, facts",
                query=asked,
                problems=(404, 409),
            ),
            Route(
                "GET",
                "/v1/audiences/{audience:[^/]+}/members/{user_id:[^/]+}",
                self._member,
                "lookup",
                "Whether the user is in the audience, at the instant of the request",
                query=asked,
                problems=(404, 409),
                at_once=self._member_at_once,
            ),
        ]

    # -- lookups -------------------------------------------------------------------------------------

    async def user_id_of(self, request: web.Request, project: str) -> str:
        """The id of the user whom the path names. Raises HttpProblem."""
        user = user_of_path(request)
        if user.identity is None:
            return user.user_id or ""
        credentials = self._forwarding.credentials(request)
        (found,) = await self._resolver.resolve(project, [user.identity], credentials)
        named = ":".join(user.identity)
        if not found.is_known:
            raise HttpProblem(503, "Not available now", f"whose {named!r} is can't be asked now")
        if found.user_id is None:
            raise HttpProblem(404, "No such user", f"project {project!r} knows nobody as {named!r}")
        return found.user_id

    def _answer(self, user_id: str) -> Answer | None:
        """From where the user is told of here; None: by another process."""
        partition = self._partition_of(user_id)
        return None if partition is None else self._worker.evaluator.by_row(partition)

    def _partition_of(self, user_id: str) -> int | None:
        """None: nobody knows yet."""
        return self._held.partitions_of([user_id])[0] if self._worker.partitions else None

    async def _elsewhere(self, request: web.Request, user_id: str) -> web.Response:
        """What the user's owner answers. Raises HttpProblem."""
        partition, _ = self._worker.owner_of(user_id)
        return await self._forwarding.fetch(request, partition, target_for(request, user_id))

    async def _user(self, request: web.Request) -> Json[User] | web.Response:
        """Attributes, identities, memberships; 404 for a user of whom nothing is known."""
        project = project_of(request)
        user_id = await self.user_id_of(request, project)
        answer = self._answer(user_id)
        if answer is None:
            return await self._elsewhere(request, user_id)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        return Json(
            User(
                user_id,
                project,
                format_instant(max(answer.at_ms, row.now_ms)),
                row.attributes,
                known_identities(row),
                _audiences(answer, project, row),
                StateSummary(
                    len(row.conditions),
                    format_instant(row.now_ms),
                    None if row.first_ms is None else format_instant(row.first_ms),
                ),
                **told_of(answer),
            )
        )

    async def _user_audiences(self, request: web.Request) -> Json[UserAudiences] | web.Response:
        project = project_of(request)
        user_id = await self.user_id_of(request, project)
        answer = self._answer(user_id)
        if answer is None:
            return await self._elsewhere(request, user_id)
        found = await self._looked_up(answer, user_id, LookupRequest(project, ()))
        if found is None:
            return await self._elsewhere(request, user_id)
        known = answer.pipeline.rules.project(project)
        audiences = [
            MemberAudience(name, audience.name, each.since or "", each.exit_at, each.version or 0)
            for name, each in found.memberships.items()
            if (audience := known.by_id(name)) is not None
        ]
        at = found.as_of or _at(answer)
        return Json(UserAudiences(user_id, project, at, audiences, **told_of(answer)))

    async def _looked_up(self, answer: Answer, user_id: str, asked: LookupRequest) -> UserLookedUp | None:
        """What is told of one user whose partition is held here; None: not any more."""
        told = await self._held.told(answer, [user_id], asked)
        return None if told is None else as_shown(told[0])

    async def _user_and_audience(self, request: web.Request) -> tuple[str, str, CompiledAudience]:
        """The project, the id of the user, and the audience, that the request names. Raises HttpProblem."""
        project = project_of(request)
        user_id = await self.user_id_of(request, project)
        rules = self._worker.evaluator.rules
        _, audience = audience_of(rules, project, request.match_info["audience"])
        return project, user_id, audience

    async def _member(self, request: web.Request) -> Json[Member] | web.Response:
        project, user_id, audience = await self._user_and_audience(request)
        answer = self._answer(user_id)
        if answer is None:
            return await self._elsewhere(request, user_id)
        require_ready(self._worker, answer.pipeline.rules, audience)
        found = await self._looked_up(answer, user_id, LookupRequest(project, (), (audience.id,)))
        if found is None:
            return await self._elsewhere(request, user_id)
        return Json(_member_shown(found, audience.id, answer))

    def _member_at_once(
        self, request: PlainRequest, caller: Caller, parts: Mapping[str, str]
    ) -> bytes | None:
        project = project_at_once(request, caller)
        user_id, audience_id = parts["user_id"], parts["audience"]
        if project is None or len(user_id) > MAX_NAME_CHARS:
            return None
        _, audience = audience_of(self._worker.evaluator.rules, project, audience_id)
        partition = self._partition_of(user_id)
        answer = None if partition is None else self._worker.evaluator.at_once(partition)
        if answer is None:
            return None
        require_ready(self._worker, answer.pipeline.rules, audience)
        question = self._held.question(answer, LookupRequest(project, (), (audience_id,)))
        told = answer.pipeline.tell_now(question, [user_id])
        return None if told is None else _encode(_member_shown(as_shown(Raw(told[0])), audience_id, answer))

    async def _explain(self, request: web.Request) -> Json[Explanation] | web.Response:
        project, user_id, audience = await self._user_and_audience(request)
        answer = self._answer(user_id)
        if answer is None:
            return await self._elsewhere(request, user_id)
        audience = require_ready(self._worker, answer.pipeline.rules, audience)
        rules = answer.pipeline.rules.project(project)
        row = answer.pipeline.look(project, user_id, answer.at_ms)
        if row is None:
            raise _no_such_user(project, user_id)
        cut, partition = answer.pipeline.last_cut, answer.pipeline.place.partition
        short = None if cut is None else cut.short.get(project, {})
        name = f"{project}/{audience.id}"
        pending = self._worker.past.upkeep.pending_view(partition, name, user_id)
        at_ms = max(answer.at_ms, row.now_ms)
        told = explanation(rules, audience, user_id, row, at_ms, short, pending)
        return Json(structs.replace(told, **told_of(answer)))


def _no_such_user(project: str, user_id: str) -> HttpProblem:
    return HttpProblem(404, "No such user", f"project {project!r} knows nothing of user {user_id!r}")


def _audiences(answer: Answer, project: str, row: Row) -> list[MemberAudience]:
    """The audiences that a user is in."""
    rules = answer.pipeline.rules.project(project)
    found = [(each, membership_in(rules, each, row, answer.at_ms)) for each in rules.audiences]
    return [
        MemberAudience(
            audience.id,
            audience.name,
            format_instant(each.since_ms or 0),
            None if each.exit_at_ms is None else format_instant(each.exit_at_ms),
            each.version or 0,
        )
        for audience, each in found
        if each.member
    ]


def _member_shown(found: UserLookedUp, audience_id: str, answer: Answer) -> Member:
    each = found.memberships.get(audience_id, MembershipShown(False, None, None))
    at = found.as_of or _at(answer)
    return Member(each.member, each.since, each.exit_at, at, each.version, **told_of(answer))


def _at(answer: Answer) -> str:
    return format_instant(answer.at_ms)
