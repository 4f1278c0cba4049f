"""Paths of requests about definitions."""

from __future__ import annotations

from typing import Final

from aiohttp import web

LONGEST: Final = 16
"""Digits of a version."""
AUDIENCES: Final = "/v1/audiences"
ONE: Final = AUDIENCES + "/{audience:[^/:]+}"
VERSION: Final = ONE + "/versions/{version:[0-9]+}"


def version_in(request: web.Request) -> int:
    """The version that the path names; -1 for one that is longer than any."""
    text = request.match_info["version"]
    return int(text) if len(text) <= LONGEST else -1
