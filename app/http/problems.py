"""Errors of our HTTP servers, as RFC 9457 problem+json."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

import structlog
from aiohttp import web
from msgspec import UNSET

from app.http.answers import Json, ProblemDetails, ProblemError

RETRY_SECONDS = "1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("turnstile.http")


REQUEST_ID = web.RequestKey("request_id", str)


class HttpProblem(Exception):
    """An answer as problem+json."""

    code: ClassVar[str] = ""
    """For programs, where the status alone doesn't say what is wrong; some forms of answers show it."""

    def __init__(
        self, status: int, title: str, detail: str, *, hint: str = "", errors: Sequence[ProblemError] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {"Retry-After": RETRY_SECONDS} if status == 503 else {}
        self._title = title
        self._hint = hint
        self._errors = tuple(errors)

    def details(self, instance: str) -> ProblemDetails:
        """``instance`` is the path that was asked for."""
        return ProblemDetails(
            "about:blank",
            self._title,
            self.status,
            str(self),
            instance,
            self._hint or UNSET,
            self._errors or UNSET,
        )


ProblemForm = Callable[[web.Request, HttpProblem], web.Response]
"""How a problem is answered. The problem's headers are added to what it gives."""


def as_problem_json(request: web.Request, problem: HttpProblem) -> web.Response:
    """The form that all paths have, unless they were made to be like somebody else's."""
    return Json(problem.details(shown_path(request)), problem.status, "application/problem+json")


async def answer_or_problem(
    request: web.Request, handler: Handler, hint: str = "", form: ProblemForm = as_problem_json
) -> web.StreamResponse:
    """What ``handler`` answers, or the problem it raised; ``hint`` is for paths and methods not served.

    What else it raises is a bug of ours: it is logged, and the client learns no more than that.
    """

    def answer(problem: HttpProblem) -> web.Response:
        response = form(request, problem)
        response.headers.update(problem.headers)
        return response

    try:
        return await handler(request)
    except HttpProblem as problem:
        return answer(problem)
    except web.HTTPException as error:
        detail = f"{request.method} {shown_path(request)} is not served{hint}"
        if error.status not in (404, 405):
            detail = error.text or error.reason
        told = HttpProblem(error.status, error.reason, detail)
        if "Allow" in error.headers:
            told.headers["Allow"] = error.headers["Allow"]
        return answer(told)
    except ConnectionError:  # the client has gone; nobody reads this
        return answer(HttpProblem(503, "Not available now", "the connection was lost"))
    except Exception as error:
        log.error(
            "request_failed",
            method=request.method,
            path=shown_path(request),
            request_id=request_id_of(request),
            exc_info=error,
        )
        return answer(HttpProblem(500, "Internal error", "a fault of Turnstile, which is in its log"))


def request_id_of(request: web.Request) -> str:
    """32 hexadecimal digits, made when they are first asked for; the log has them beside a fault of ours."""
    if REQUEST_ID not in request:
        request[REQUEST_ID] = secrets.token_hex(16)
    return request[REQUEST_ID]


def shown_path(request: web.Request) -> str:
    """The path as it was asked for; what isn't UTF-8 is replaced."""
    path = request.raw_path.partition("?")[0]
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
