"""The project that a request is about."""

from __future__ import annotations

from aiohttp import web

from app.http.base import CALLER
from app.http.routes import Query

PROJECT = Query("project", default="default")


def project_of(request: web.Request) -> str:
    """The project that is asked about. Raises HttpProblem when the caller's key isn't for it."""
    project = PROJECT.of(request) or "default"
    request[CALLER].require_project(project)
    return project
