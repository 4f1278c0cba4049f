"""What is looked at before a request reaches its handler: whether its target is text, and where it is from.

A page in a browser reaches loopback, too: by a name of its own that resolves to 127.0.0.1 (DNS rebinding),
and by a form or a script on another site (cross-site request forgery). Where no key is asked for, the name in
``Host`` must therefore be a loopback one; and no other site's page may change anything.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes, urlsplit

from aiohttp import web
from multidict import MultiMapping

from app.address import is_loopback
from app.http.problems import HttpProblem

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
NO_SITE = ("same-origin", "none")
"""Values of ``Sec-Fetch-Site`` for requests that no other site made."""


def check_target(request: web.Request) -> None:
    """Raises HttpProblem: path or query aren't UTF-8, or hold what no name of ours can hold; ``Expect``."""
    raw = request.raw_path.encode("utf-8", "surrogateescape")
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise HttpProblem(400, "Bad request", "path and query must be UTF-8, percent-encoded") from None
    if "\0" in text:
        raise HttpProblem(400, "Bad request", "path and query can't hold NUL (%00)")
    if b"#" in raw:
        raise HttpProblem(400, "Bad request", "path and query can't hold #: write %23")
    if request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise HttpProblem(417, "Expectation failed", "the header Expect can only be 100-continue")


def check_host(raw_path: str, headers: MultiMapping[str]) -> None:
    """For a listener that asks for no key. Raises HttpProblem unless it was sent to a loopback name."""
    names = headers.getall("Host", [])
    scheme, _, rest = raw_path.partition("://")
    if rest and "/" not in scheme:
        names = [*names, re.split("[/?]", rest, maxsplit=1)[0]]
    if not names or not all(_is_loopback_name(each) for each in names):
        detail = (
            "there are no API keys, so only requests to 127.0.0.1, [::1] or localhost are answered, and the "
            "header Host names another. Give keys (http.api_keys) to be reached by that name"
        )
        raise HttpProblem(403, "Not allowed", detail)


def _is_loopback_name(authority: str) -> bool:
    """Strict, because ``urlsplit`` takes ``[::1].evil.com`` for ``::1``."""
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and (match[1].lower() == "localhost" or is_loopback(match[1]))


def check_origin(method: str, headers: MultiMapping[str]) -> None:
    """Raises HttpProblem for a request that changes something and was made by another site's page."""
    if method in SAFE_METHODS:
        return
    site = headers.get("Sec-Fetch-Site", "none")
    origins = headers.getall("Origin", [])
    if site not in NO_SITE or any(_host_of(each) != headers.get("Host", "").lower() for each in origins):
        raise HttpProblem(
            403, "Not allowed", "pages of other sites may not send requests that change something"
        )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
