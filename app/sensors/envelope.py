"""The envelope that every answer below ``/api/v3/focus/v1`` has, whether it is one or a problem."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Generic, TypeVar

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from app.http.answers import Json, ProblemDetails
from app.http.problems import HttpProblem, request_id_of, shown_path

ROOT: Final = "/api/v3/focus/v1"
SUCCESS: Final = "SUCCESS"
_CODES: Final = {413: "PAYLOAD_TOO_LARGE"}
"""Of statuses whose names differ between versions of Python."""

T = TypeVar("T")
RequestId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="Names the request; the log has it")]


class Nothing(Struct, frozen=True):
    """``{}``."""


class Envelope(Struct, Generic[T], frozen=True):
    """An answer. ``results`` is there where the engine's examples have the result under that name."""

    code: str
    message: str | None
    request_id: RequestId
    data: T
    results: T | UnsetType = UNSET
    error_info: ProblemDetails | None = None


class ErrorEnvelope(Struct, frozen=True):
    """Why there is no answer."""

    code: Annotated[str, Meta(description="The status as a word, such as NOT_FOUND, or what is wrong")]
    message: str
    request_id: RequestId
    data: None
    error_info: ProblemDetails


def answer(request: web.Request, data: T) -> Json[Envelope[T]]:
    return Json(Envelope(SUCCESS, None, request_id_of(request), data))


def answer_twice(request: web.Request, data: T) -> Json[Envelope[T]]:
    """With the result under both names: the engine's tables say ``data``, its examples ``results``."""
    return Json(Envelope(SUCCESS, None, request_id_of(request), data, data))


def as_envelope(request: web.Request, problem: HttpProblem) -> web.Response:
    """A problem in this form; the status stays."""
    code = problem.code or _CODES.get(problem.status) or HTTPStatus(problem.status).name
    details = problem.details(shown_path(request))
    return Json(ErrorEnvelope(code, str(problem), request_id_of(request), None, details), problem.status)
