"""What nobody can tell by the owner is asked of a standby: the same question, put to those who keep one."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps

from aiohttp import web

from agents.follow.view import RowElsewhere
from app.http.problems import HttpProblem
from app.http.routes import Route
from app.worker.following.answering import ReaderBehind


def or_standby(route: Route, of_standbys: Route) -> Route:
    """The same route; where the owner can't be asked now, ``of_standbys`` answers if it can."""
    asked, instead = route.handler, of_standbys.handler

    @wraps(asked)
    async def handler(request: web.Request) -> web.StreamResponse:
        problem: HttpProblem | None = None
        answer: web.StreamResponse | None = None
        try:
            answer = await asked(request)
            if answer.status != 503:
                return answer
        except HttpProblem as raised:
            if raised.status != 503:
                raise
            problem = raised
        try:
            found = await instead(request)
            if found.status != 503 or answer is None:
                return found
        except ReaderBehind:
            raise
        except (HttpProblem, RowElsewhere) as other:
            if isinstance(other, HttpProblem) and other.status != 503:
                raise
        if answer is None:
            assert problem is not None
            raise problem
        return answer

    return replace(route, handler=handler)
