"""``POST /v1/lookup``: a thin face over ``app.lookup.lookups``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from app.http.answers import Json
from app.http.api_keys import Caller
from app.http.forwarding import FORWARDED, Forwarding
from app.http.plain import PlainRequest
from app.http.problems import RETRY_SECONDS
from app.http.projects import PROJECT, project_at_once, project_of
from app.http.routes import Route
from app.lookup.answers import LookedUp, is_passing, user_shown
from app.lookup.body import LookupBody, plain_lookup
from app.lookup.lookups import Lookups
from app.lookup.others import PATH


class LookupRoutes:
    """Of one process."""

    def __init__(self, lookups: Lookups, forwarding: Forwarding) -> None:
        self._lookups = lookups
        self._forwarding = forwarding
        self._body = LookupBody()

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                PATH,
                self._lookup,
                "lookup",
                "Which of these users are in which audiences, each user as of its own instant",
                query=(PROJECT,),
                body=self._body,
                problems=(404,),
                at_once=self._lookup_at_once,
            )
        ]

    def _lookup_at_once(
        self, request: PlainRequest, caller: Caller, parts: Mapping[str, str]
    ) -> bytes | None:
        project = project_at_once(request, caller)
        if project is None or FORWARDED in request.headers:
            return None
        plain = plain_lookup(request.body, project, self._lookups.held.rules)
        told = None if plain is None else self._lookups.at_once(*plain)
        if told is None:
            return None
        return b'{"project":"%b","users":[%b]}' % (project.encode(), b",".join(told))

    async def _lookup(self, request: web.Request) -> Json[LookedUp]:
        project = project_of(request)
        credentials = self._forwarding.credentials(request)
        known = None if credentials is None else self._lookups.held.rules
        asked = await self._body.of(request, project, known)
        told = await self._lookups.told(asked, credentials)
        users = [each if isinstance(each, msgspec.Raw) else user_shown(each) for each in told]
        response = Json[Any]({"project": project, "users": users})
        if any(map(is_passing, told)):
            response.headers["Retry-After"] = RETRY_SECONDS
        return response
