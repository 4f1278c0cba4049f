"""What our HTTP servers answer with. ``app.http.openapi`` describes the answers from these types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, in UTC."""

JSON_LINES = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


class Json(web.Response, Generic[T]):
    """A body of a type that msgspec knows. Handlers that answer so say it: ``-> Json[Member]``."""

    def __init__(self, body: T, status: int = 200, content_type: str = "application/json") -> None:
        super().__init__(body=_encode(body), status=status, content_type=content_type, charset="utf-8")


class JsonLines(web.Response):
    """A line of JSON for each item."""

    def __init__(self, lines: Iterable[Struct]) -> None:
        super().__init__(body=_encode_lines(lines), content_type=JSON_LINES, charset="utf-8")


class JsonLinesAsTheyCome(web.StreamResponse):
    """A line of JSON for each item, sent when there is one."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self.content_type = JSON_LINES
        self.charset = "utf-8"


class EventStream(web.StreamResponse):
    """Server-sent events (HTML standard, section 9.2), sent when there is one."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        # Otherwise nginx collects them until its buffer is full.
        super().__init__(headers={**headers, "X-Accel-Buffering": "no"})
        self.content_type = EVENT_STREAM
        self.charset = "utf-8"


class Text(web.Response):
    """A line for people and probes."""

    def __init__(self, text: str, status: int = 200, content_type: str = "") -> None:
        """``content_type``: the whole header, for other texts than ``text/plain; charset=utf-8``."""
        headers = {"Content-Type": content_type or "text/plain; charset=utf-8"}
        super().__init__(body=text.encode(), status=status, headers=headers)


class ProblemError(Struct, frozen=True):
    """One of several errors; ``path`` is the place in what was sent."""

    code: str
    path: str
    message: str
    hint: str


class ProblemDetails(Struct, frozen=True):
    """Why there is no other answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    hint: str | UnsetType = UNSET
    errors: tuple[ProblemError, ...] | UnsetType = UNSET


class ShownWarning(Struct, frozen=True):
    """Something that is wrong and doesn't stop the process."""

    code: str
    place: str
    text: str
    count: int
    first: Instant
    last: Instant


class Readiness(Struct, frozen=True, kw_only=True):
    """``/readyz?verbose``; ``reasons`` say why a process isn't ready."""

    ready: bool
    reasons: list[str]
    warnings: list[ShownWarning]


def answers_of(function: Callable[..., Any]) -> tuple[Any, ...]:
    """What a function says that it returns: of ``-> Json[Member] | Text`` these two."""
    told = get_type_hints(function).get("return")
    return get_args(told) if get_origin(told) in (Union, UnionType) else (told,)
