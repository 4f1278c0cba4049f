"""What every request of these paths says in its headers."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from app.http.base import CALLER
from app.http.problems import HttpProblem
from app.http.routes import Header
from rules.parse.values import NAME

PROJECT: Final = Header("sensorsdata-project", "The project; `default` where it isn't given")
ORGANIZATION: Final = Header(
    "X-Organization-Id", "Taken and not looked at: a Turnstile is one organization's"
)
HEADERS: Final = (PROJECT, ORGANIZATION)
DEFAULT: Final = "default"


def project_of(request: web.Request) -> str:
    """The project that is asked about.

    Raises HttpProblem when the caller's key isn't for it, or when no project can have that name.
    """
    given = PROJECT.of(request).strip() if PROJECT.name in request.headers else DEFAULT
    request[CALLER].require_project(given)
    if re.fullmatch(NAME, given) is None:
        detail = f"the header {PROJECT.name} must hold one project's name: 1 to 64 of A-Z a-z 0-9 _"
        raise HttpProblem(400, "Bad request", detail)
    return given
