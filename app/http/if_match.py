"""``ETag`` and ``If-Match`` of definitions: the version, in quotes (RFC 9110, sections 8.8.3 and 13.1.1)."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from app.http.problems import HttpProblem
from app.http.routes import Header

_TAGS: Final = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_TAG: Final = re.compile(r'(W/)?"([^"]*)"')


IF_MATCH: Final = Header("If-Match", "The `ETag` that was read; `*` takes any version", must=True)
IF_MATCH_MAY: Final = Header("If-Match", "The `ETag` that was read: refuses if there is another version now")
ETAG: Final = Header("ETag", "The version, in quotes")


def etag(version: int) -> str:
    return f'"{version}"'


def versions_of(request: web.Request, header: Header) -> frozenset[int] | None:
    """The versions of which one must be there, as ``If-Match`` says; None: any (``*``, or no header where it
    needn't be there).

    A tag that is none of ours, and a weak one, match no version. Raises HttpProblem: 428 without the header,
    400 where it isn't one.
    """
    given = header.of(request)
    if not given and not header.must:
        return None
    if not given:
        raise not_given()
    if given.strip() == "*":
        return None
    if _TAGS.fullmatch(given) is None:
        hint = 'it is an ETag such as "3", with its quotes, or *'
        raise HttpProblem(400, "Bad request", f"If-Match can't be read: {given!r}", hint=hint)
    return frozenset(
        int(tag) for weak, tag in _TAG.findall(given) if not weak and re.fullmatch("[0-9]{1,16}", tag)
    )


def not_given() -> HttpProblem:
    """428."""
    return HttpProblem(
        428,
        "If-Match is needed",
        "say which version is to be changed, so that nobody else's change is lost",
        hint='send the ETag that was read as If-Match, such as "3"; * takes any version',
    )
