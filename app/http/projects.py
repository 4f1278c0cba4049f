"""The project that a request is about."""

from __future__ import annotations

import re

from aiohttp import web

from app.http.api_keys import Caller
from app.http.base import CALLER
from app.http.plain import PlainRequest
from app.http.routes import Query

PROJECT = Query("project", default="default")


_PLAIN = re.compile(rf"{PROJECT.name}=([A-Za-z0-9_.-]+)", re.ASCII)


def project_at_once(request: PlainRequest, caller: Caller) -> str | None:
    """The same of a plain request, where its query has nothing else. Raises HttpProblem likewise."""
    project = PROJECT.default or ""
    if request.query:
        match = _PLAIN.fullmatch(request.query)
        if match is None:
            return None
        project = match[1]
    caller.require_project(project)
    return project


def project_of(request: web.Request) -> str:
    """The project that is asked about. Raises HttpProblem when the caller's key isn't for it."""
    project = PROJECT.of(request) or "default"
    request[CALLER].require_project(project)
    return project
