"""Answers of our HTTP servers: JSON, and errors as RFC 9457 problem+json."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

RETRY_SECONDS = "1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """An answer as problem+json; ``more`` are further members."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def json_answer(body: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type=content_type, charset="utf-8")


async def answer_or_problem(request: web.Request, handler: Handler, hint: str = "") -> web.StreamResponse:
    """What ``handler`` answers, or the problem it raised; ``hint`` is for paths and methods not served."""
    try:
        return await handler(request)
    except Problem as problem:
        response = _problem_answer({**problem.body, "instance": request.path}, problem.status)
        if problem.status == 503:
            response.headers["Retry-After"] = RETRY_SECONDS
    except web.HTTPException as error:
        detail = f"{request.method} {request.path} is not served{hint}"
        if error.status not in (404, 405):
            detail = error.text or error.reason
        body = {
            "type": "about:blank",
            "title": error.reason,
            "status": error.status,
            "detail": detail,
            "instance": request.path,
        }
        response = _problem_answer(body, error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    return response


def _problem_answer(body: object, status: int) -> web.Response:
    return json_answer(body, status, "application/problem+json")
