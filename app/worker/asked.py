"""What a lookup asks for: a user and a project, from its path and query."""

from __future__ import annotations

from aiohttp import web

from agents.formats.records import MAX_NAME_CHARS
from app.http.base import CALLER
from app.http.problems import HttpProblem
from app.http.routes import Query

INSTEAD = "-"
"""In a path, for a user that the query names."""

PROJECT = Query("project", default="default")
USER_ID = Query("user_id", "For ids that proxies remove from a path, such as '..'; the path then has '-'")


def project_of(request: web.Request) -> str:
    """The project that is asked about. Raises HttpProblem when the caller's key isn't for it."""
    project = PROJECT.of(request) or "default"
    request[CALLER].require_project(project)
    return project


def user_id_of(request: web.Request) -> str:
    """The user that the path names; in the place of ``-`` the one that the query names.

    A path can't carry every id through every client and proxy: ``.`` and ``..`` go out of it on the way.
    Raises HttpProblem for an id that no user can have.
    """
    user_id, other = request.match_info["user_id"], USER_ID.of(request)
    if other is not None:
        if user_id not in (INSTEAD, other):
            detail = f"the path names user {user_id!r}, the query {other!r}: write {INSTEAD!r} in the path"
            raise HttpProblem(400, "Bad request", detail)
        user_id = other
    if not 0 < len(user_id) <= MAX_NAME_CHARS:
        raise HttpProblem(400, "Bad request", f"a user id has 1 to {MAX_NAME_CHARS} characters")
    return user_id
