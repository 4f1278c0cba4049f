"""Routes: what a handler is reached by, and all that the OpenAPI document says of it.

Handlers read parameters and bodies through the same objects that describe them, so the two can't differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from agents.registry.api_keys import Scope
from app.http.api_keys import Caller
from app.http.plain import PlainRequest
from app.http.problems import Handler, HttpProblem

T = TypeVar("T")

REQUEST_SECONDS = 30.0
"""A handler's time, unless its route says otherwise."""
BODY_SECONDS = 10.0
BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query."""

    name: str
    description: str = ""
    default: str | None = None

    def of(self, request: web.Request) -> str | None:
        """Raises HttpProblem when it is given twice: two readers might take either."""
        assert self in request[ROUTE].query, f"{self.name} isn't in the route's description"
        given = request.query.getall(self.name, [])
        if len(given) > 1:
            raise HttpProblem(400, "Bad request", f"the query has {self.name} more than once")
        return given[0] if given else self.default


@dataclass(frozen=True, slots=True)
class Header:
    """A header that a handler asks for; ``must`` be there, or else the handler refuses."""

    name: str
    description: str
    must: bool = False

    def of(self, request: web.Request) -> str:
        """All its values as one list; empty: it isn't there."""
        assert self in request[ROUTE].headers, f"{self.name} isn't in the route's description"
        return ",".join(request.headers.getall(self.name, []))


class Body:
    """A request's body, of one of these content types."""

    type: Any = None
    """What a JSON body holds; None: it isn't described by a type of ours."""

    def __init__(self, *content_types: str, most_bytes: int = BODY_BYTES) -> None:
        self.content_types = content_types
        self._most_bytes = most_bytes

    async def read(self, request: web.Request) -> bytes:
        """Raises HttpProblem: 400, 408, and 413 where it is too large."""
        assert request[ROUTE].body is self, "the body isn't in the route's description"
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            detail = f"the body was not here within {BODY_SECONDS:.0f} s"
            raise HttpProblem(408, "Request Timeout", detail) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise HttpProblem(400, "Bad request", f"the body can't be read: {error}") from None
        if len(body) > self._most_bytes:
            raise HttpProblem(413, "Too large", f"the body may have {self._most_bytes} bytes at most")
        return body


class JsonBody(Body, Generic[T]):
    """A body in JSON, of a type that msgspec knows; an empty one is ``{}``."""

    def __init__(self, kind: type[T], wrong: str) -> None:
        """``wrong`` is the problem's title where a body isn't of that type."""
        super().__init__("application/json")
        self.type = kind
        self._kind = kind
        self._wrong = wrong

    async def decoded(self, request: web.Request) -> T:
        """Raises HttpProblem like ``read``."""
        body = await self.read(request)
        try:
            return msgspec.json.decode(body or b"{}", type=self._kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HttpProblem(400, self._wrong, str(error)) from None


HandlerAtOnce: TypeAlias = Callable[[PlainRequest, Caller, Mapping[str, str]], bytes | None]
"""Takes a request, who sent it, and the variable parts of the path. Gives the JSON of an answer with the
status 200; None, or HttpProblem: the route's handler must answer. It counts nothing that the handler would
count again."""


@dataclass(frozen=True, slots=True)
class Route:
    """``scope``: what the caller's key must have, or one of ``also``; None: no key is asked for.

    ``problems`` are the statuses of this handler's problems beyond those of all (``app.http.openapi``),
    ``statuses`` those of its other answers. ``answer``: the type of the JSON, where the handler's annotation
    doesn't say it.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str = ""
    seconds: float = REQUEST_SECONDS
    query: tuple[Query, ...] = ()
    body: Body | None = None
    statuses: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    answer: Any = None
    also: tuple[Scope, ...] = ()
    headers: tuple[Header, ...] = ()
    answer_headers: tuple[Header, ...] = ()
    problem: Any = None
    """The type of the JSON of its problems; None: they are problem+json."""
    at_once: HandlerAtOnce | None = None
    """Answers plain requests, where that can be done at once; None: ``handler`` answers all."""


ROUTE = web.RequestKey("route", Route)


def refuse_unknown_query(request: web.Request) -> None:
    """Raises HttpProblem for parameters that the route doesn't have.

    Otherwise a name that is slightly wrong is passed over, and the answer is that of the default project.
    """
    known = [each.name for each in request[ROUTE].query]
    unknown = [name for name in dict.fromkeys(request.query) if name not in known]
    if not unknown:
        return
    takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
    near = get_close_matches(unknown[0], known, n=1)
    raise HttpProblem(
        400,
        "Bad request",
        f"the query has {', '.join(map(repr, unknown))}, which this path doesn't take: {takes}",
        hint=f"did you mean {near[0]}?" if near else "",
    )
